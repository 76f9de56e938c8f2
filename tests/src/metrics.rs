//! Metrics as Prometheus reads them: samples by name and labels.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::environment;

/// Every sample of one exposition, by `NAME{label="value",…}`, the labels in alphabetical order.
#[derive(Debug, Clone, Default)]
pub struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Reads the text format.
    ///
    /// # Panics
    /// Where a line is none.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(lines.map(|line| sample(line).unwrap_or_else(|| panic!("no sample: {line}"))).collect())
    }

    /// The value of a series, as [`Samples`] names it; 0 where there is none.
    pub fn get(&self, series: &str) -> f64 {
        self.0.get(series).copied().unwrap_or(0.0)
    }

    /// Whether there is such a series.
    pub fn has(&self, series: &str) -> bool {
        self.0.contains_key(series)
    }

    /// The series whose names begin so, with their values.
    pub fn of<'a>(&'a self, start: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0
            .iter()
            .filter(move |(name, _)| name.starts_with(start))
            .map(|(name, value)| (name.as_str(), *value))
    }
}

fn sample(line: &str) -> Option<(String, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = series.split_once('{') else { return Some((series.to_owned(), value)) };
    let mut labels: Vec<&str> =
        labels.strip_suffix('}')?.split("\",").filter(|label| !label.is_empty()).collect();
    labels.sort_unstable();
    let labels: Vec<String> =
        labels.iter().map(|label| format!("{}\"", label.trim_end_matches('"'))).collect();
    Some((if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) }, value))
}

/// What `promtool check metrics` complains of; `None` where there is no promtool, which is told on stderr.
pub fn promtool_complaints(exposition: &str) -> Option<Vec<String>> {
    let promtool = match environment::promtool() {
        Ok(promtool) => promtool,
        Err(reason) => {
            eprintln!("SKIPPED: promtool: {reason}");
            return None;
        }
    };
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    child.stdin.take().expect("a pipe").write_all(exposition.as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    Some(said.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let samples = Samples::parse("# TYPE a counter\na{b=\"1\",a=\"x,y\"} 2\nc{} 3\nd 4.5\n");
        assert_eq!(samples.get("a{a=\"x,y\",b=\"1\"}"), 2.0);
        assert_eq!((samples.get("c"), samples.get("d"), samples.has("e")), (3.0, 4.5, false));
    }
}
