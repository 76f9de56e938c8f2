//! Every client format against every provider's.

mod fields;
mod matrix;
mod routes;
mod sessions;
