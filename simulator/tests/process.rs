//! The simulator as a process: the ready line, and the end on SIGTERM.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

#[test]
fn it_prints_its_address_serves_and_stops_on_sigterm() {
    let mut simulator = Command::new(env!("CARGO_BIN_EXE_ai-warp-simulator"))
        .args(["--api-key", "k", "--provider-key", "gemini=g", "--no-record"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(simulator.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    let address: SocketAddr = ready["address"].as_str().unwrap().parse().unwrap();

    let get = |path: &str, header: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    };
    assert!(get("/_simulator/health", "x: y").contains("\"recording\":false"));
    assert!(get("/openai/v1/models", "authorization: Bearer k").starts_with("HTTP/1.1 200"));
    assert!(get("/gemini/v1/models", "x-goog-api-key: g").starts_with("HTTP/1.1 200"));
    assert!(get("/gemini/v1/models", "x-goog-api-key: k").starts_with("HTTP/1.1 400"));

    let id = simulator.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(simulator.wait().unwrap().success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "exactly one line is printed");
}
