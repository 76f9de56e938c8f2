//! The official Python SDKs understand what they are answered: by the simulator, as by the real providers, and by the
//! gateway, whoever answers behind it.

mod gateway;
mod scripts;
mod simulator;
