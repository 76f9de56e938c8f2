//! The ports of a stack: which each process gets, and whether they can be had.

use std::net::TcpListener;

use anyhow::{Context, Result};

use crate::settings::Settings;
use crate::up::LOOPBACK;

/// Binds every port that will be needed, all at once, and lets them go again. Better here, with a name, than as a
/// listener that Envoy silently does not have.
pub(crate) fn check(settings: &Settings, envoys: u16) -> Result<()> {
    let (server, control_plane) = (&settings.server, &settings.control_plane);
    let mut wanted = vec![
        ("controlPlane.port".to_owned(), control_plane.hostname.as_str(), control_plane.port),
        ("controlPlane.xdsPort".to_owned(), control_plane.hostname.as_str(), control_plane.xds_port),
    ];
    for index in 0..envoys {
        let shown = |key: &str| if index == 0 { key.to_owned() } else { format!("{key} + {index}") };
        wanted.push((shown("server.port"), server.hostname.as_str(), counted(server.port, index)?));
        if let Some(streams) = &settings.streams {
            wanted.push((shown("streams.port"), streams.hostname.as_str(), counted(streams.port, index)?));
        }
        wanted.push((shown("server.adminPort"), LOOPBACK, counted(server.admin_port, index)?));
    }
    let mut held = Vec::new();
    for (key, host, port) in wanted {
        let listener = TcpListener::bind((host, port)).with_context(|| {
            format!(
                "{host}:{port} ({key}) cannot be had; stop what listens there, or change the configuration"
            )
        })?;
        held.push(listener);
    }
    Ok(())
}

/// `port + index`; 0, "any free port", stays 0.
pub(crate) fn counted(port: u16, index: u16) -> Result<u16> {
    if port == 0 {
        return Ok(0);
    }
    port.checked_add(index).with_context(|| format!("no port {port} + {index}: there are only 65535"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_count_up_but_an_ephemeral_one_stays() {
        assert_eq!(counted(3042, 2).unwrap(), 3044);
        assert_eq!(counted(0, 2).unwrap(), 0);
        assert!(counted(65535, 1).is_err());
    }

    #[test]
    fn a_taken_port_is_named_by_its_configuration_key() {
        let taken = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let mut settings = Settings::demo();
        settings.control_plane.port = 0;
        settings.control_plane.xds_port = 0;
        settings.server.port = 0;
        settings.streams = None;
        settings.server.admin_port = taken.local_addr().unwrap().port();
        let error = check(&settings, 1).unwrap_err().to_string();
        assert!(error.contains("server.adminPort"), "{error}");
    }
}
