//! The clients: a fixed number of keep-alive connections that check every answer.
//!
//! Connections are opened and tried before a round begins, and a round ends when the last answer is complete, so the
//! CPU time of a round belongs to the requests counted in it and to nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::variant::{Expected, Variant};

/// Longest time that the answers under way at the end of a round may take.
const LAST_ANSWERS: Duration = Duration::from_secs(15);

/// Response header of an answer whose turn was not stored in time.
const STORED_HEADER: &str = "x-ai-warp-stored";

/// How much of an unexpected answer is shown.
const SHOWN_BYTES: usize = 2_000;

/// When the next request is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// As soon as its connection is free.
    Closed,
    /// That many a second over all connections, unless the answers are slower.
    PerSecond(u32),
}

/// Connections on which one variant is asked.
pub(crate) struct Load {
    connections: Vec<Connection>,
}

/// What was done in one round.
#[derive(Debug)]
pub(crate) struct Sample {
    /// From the first byte sent to the last received, one for each request.
    pub(crate) latencies: Vec<Duration>,
    /// From the first byte sent to the first received of the body, likewise.
    pub(crate) firsts: Vec<Duration>,
    /// From the first request to the last answer.
    pub(crate) lasted: Duration,
}

/// How long an answer took.
struct Answered {
    first: Duration,
    whole: Duration,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    question: Arc<Question>,
}

struct Question {
    request: Request<Full<Bytes>>,
    expected: Expected,
}

impl Load {
    /// Opens the connections to `address` and asks once on each.
    pub(crate) async fn connect(address: &str, variant: &Variant, connections: u16) -> Result<Self> {
        let question = Arc::new(Question::new(address, variant)?);
        let mut opened = Vec::new();
        for _ in 0..connections {
            let mut connection = Connection::open(address, &question).await?;
            tokio::time::timeout(LAST_ANSWERS, connection.ask()).await.context("no answer came")??;
            opened.push(connection);
        }
        Ok(Self { connections: opened })
    }

    /// Asks for `duration` on all connections, and waits for the last answers.
    pub(crate) async fn run(&mut self, pace: Pace, duration: Duration) -> Result<Sample> {
        let started = Instant::now();
        let until = started + duration;
        let count = u32::try_from(self.connections.len()).unwrap_or(u32::MAX);
        let mut clients = JoinSet::new();
        for (number, connection) in (0..count).zip(self.connections.drain(..)) {
            let schedule = match pace {
                Pace::Closed => None,
                Pace::PerSecond(rate) => {
                    let apart = Duration::from_secs(1) / rate;
                    Some(Schedule { next: started + apart * number, every: apart * count })
                }
            };
            clients.spawn(connection.ask_until(until, schedule));
        }
        let (mut latencies, mut firsts) = (Vec::new(), Vec::new());
        let answers = async {
            while let Some(client) = clients.join_next().await {
                let (connection, own) = client.context("a client failed")??;
                self.connections.push(connection);
                for Answered { first, whole } in own {
                    firsts.push(first);
                    latencies.push(whole);
                }
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(duration + LAST_ANSWERS, answers).await.context("an answer did not come")??;
        Ok(Sample { latencies, firsts, lasted: started.elapsed() })
    }
}

/// When a connection sends, where that is not at once.
struct Schedule {
    next: Instant,
    every: Duration,
}

impl Connection {
    async fn open(address: &str, question: &Arc<Question>) -> Result<Self> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends when the sender is dropped; what goes wrong before, the sender says.
        tokio::spawn(connection);
        Ok(Self { sender, question: Arc::clone(question) })
    }

    async fn ask_until(
        mut self,
        until: Instant,
        mut schedule: Option<Schedule>,
    ) -> Result<(Self, Vec<Answered>)> {
        let mut answers = Vec::new();
        loop {
            if let Some(schedule) = &mut schedule {
                if schedule.next >= until {
                    break;
                }
                tokio::time::sleep_until(schedule.next.into()).await;
                schedule.next += schedule.every;
            }
            let started = Instant::now();
            if started >= until {
                break;
            }
            let first = self.ask().await?.duration_since(started);
            answers.push(Answered { first, whole: started.elapsed() });
        }
        Ok((self, answers))
    }

    /// Asks once, and checks the answer; when the first of its body was there.
    async fn ask(&mut self) -> Result<Instant> {
        self.sender.ready().await.context("the connection was closed")?;
        let response = self.sender.send_request(self.question.request.clone()).await?;
        let (head, mut body) = response.into_parts();
        let mut first = None;
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            first.get_or_insert_with(Instant::now);
            let frame = frame.context("the answer broke off")?;
            read.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
        }
        let text = std::str::from_utf8(&read).context("the answer is no text")?;
        let checked = if head.status != StatusCode::OK {
            Err(anyhow!("the status is {}", head.status))
        } else if head.headers.contains_key(STORED_HEADER) {
            Err(anyhow!("the turn was not stored in time"))
        } else {
            self.question.expected.check(text)
        };
        checked.with_context(|| {
            let shown: String = text.chars().take(SHOWN_BYTES).collect();
            format!("an unexpected answer: {} {:?}\n{shown}", head.status, head.headers)
        })?;
        Ok(first.unwrap_or_else(Instant::now))
    }
}

impl Question {
    fn new(address: &str, variant: &Variant) -> Result<Self> {
        let mut request =
            Request::post(variant.path).header(HOST, address).header(CONTENT_TYPE, "application/json");
        for (name, value) in &variant.headers {
            request = request.header(*name, value);
        }
        let body = Full::new(Bytes::from(variant.body.to_string()));
        let request = request.body(body).context("a request that is none")?;
        Ok(Self { request, expected: variant.expected.clone() })
    }
}
