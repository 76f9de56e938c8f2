//! Asking a person for what the flags did not say. Questions go to stderr; keys are read without being shown.

use std::io::{self, BufRead as _, Write as _};

use clap::ValueEnum as _;

use super::files::{Answers, Storage, is_writable_key};
use super::{DEFAULT_PORT, Given, ProviderName, StorageName, default_valkey};
use crate::config::SecretString;
use crate::host_port::HostPort;

/// Somebody who answers.
pub(super) trait Person {
    /// Asks and returns the line, without its end.
    fn line(&mut self, question: &str) -> io::Result<String>;
    /// The same for what must not be seen.
    fn hidden(&mut self, question: &str) -> io::Result<String>;
    /// Says something.
    fn tell(&mut self, text: &str);
}

/// The person at the terminal.
pub(super) struct Terminal;

impl Person for Terminal {
    fn line(&mut self, question: &str) -> io::Result<String> {
        eprint!("{question} ");
        io::stderr().flush()?;
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "no answer"));
        }
        Ok(line.trim().to_owned())
    }

    fn hidden(&mut self, question: &str) -> io::Result<String> {
        Ok(rpassword::prompt_password(format!("{question} "))?.trim().to_owned())
    }

    fn tell(&mut self, text: &str) {
        eprintln!("{text}");
    }
}

/// Asks for everything that is missing from `given`.
pub(super) fn complete(given: Given, person: &mut impl Person) -> io::Result<Answers> {
    let names = if given.providers.is_empty() { ask_providers(person)? } else { given.providers.clone() };
    let mut providers = Vec::with_capacity(names.len());
    for name in names {
        let key = match given.key(name) {
            Some(key) => Some(key),
            None => ask_key(name, person)?,
        };
        providers.push((name, key));
    }
    let port = match given.port {
        Some(port) => port,
        None => ask(person, "Port of the gateway?", &DEFAULT_PORT.to_string(), |text| {
            text.parse().ok().filter(|port| *port > 0).ok_or("a port is 1 to 65535".to_owned())
        })?,
    };
    let storage = match given.storage {
        Some(storage) => storage,
        None => ask(person, "Where are sessions kept (memory, valkey, none)?", "memory", |text| {
            StorageName::from_str(text, true).map_err(|_| "one of memory, valkey, none".to_owned())
        })?,
    };
    let storage = match (storage, given.valkey) {
        (StorageName::None, _) => Storage::None,
        (StorageName::Memory, _) => Storage::Memory,
        (StorageName::Valkey, Some(at)) => Storage::Valkey(at),
        (StorageName::Valkey, None) => Storage::Valkey(ask(
            person,
            "Where is Valkey?",
            &default_valkey().to_string(),
            str::parse::<HostPort>,
        )?),
    };
    Ok(Answers { providers, port, storage })
}

fn ask_providers(person: &mut impl Person) -> io::Result<Vec<ProviderName>> {
    let known = ProviderName::value_variants().iter().map(|provider| provider.key());
    let known = known.collect::<Vec<_>>().join(", ");
    ask(person, &format!("Which providers, first choice first ({known})?"), "openai", |text| {
        let mut providers = Vec::new();
        for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
            let provider = ProviderName::from_str(word, true)
                .map_err(|_| format!("{word} is not among them: {known}; write one or several"))?;
            if !providers.contains(&provider) {
                providers.push(provider);
            }
        }
        if providers.is_empty() { Err("name at least one".to_owned()) } else { Ok(providers) }
    })
}

fn ask_key(provider: ProviderName, person: &mut impl Person) -> io::Result<Option<SecretString>> {
    loop {
        let key = person.hidden(&format!("Key of {} (empty: later)?", provider.title()))?;
        if key.is_empty() {
            return Ok(None);
        }
        if is_writable_key(&key) {
            return Ok(Some(SecretString::new(key)));
        }
        person.tell("That has characters no key has.");
    }
}

/// Asks until the answer can be used; an empty one is `default`.
fn ask<T>(
    person: &mut impl Person,
    question: &str,
    default: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> io::Result<T> {
    loop {
        let line = person.line(&format!("{question} [{default}]"))?;
        match read(if line.is_empty() { default } else { &line }) {
            Ok(value) => return Ok(value),
            Err(problem) => person.tell(&problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives the answers in order and notes what was said.
    struct Script {
        answers: Vec<&'static str>,
        told: Vec<String>,
        hidden: Vec<String>,
    }

    impl Script {
        fn new(answers: &[&'static str]) -> Self {
            Self { answers: answers.iter().rev().copied().collect(), told: Vec::new(), hidden: Vec::new() }
        }
    }

    impl Person for Script {
        fn line(&mut self, question: &str) -> io::Result<String> {
            Ok(self.answers.pop().unwrap_or_else(|| panic!("no answer to {question}")).to_owned())
        }

        fn hidden(&mut self, question: &str) -> io::Result<String> {
            self.hidden.push(question.to_owned());
            self.line(question)
        }

        fn tell(&mut self, text: &str) {
            self.told.push(text.to_owned());
        }
    }

    fn given() -> Given {
        Given { providers: vec![], keys: vec![], port: None, storage: None, valkey: None }
    }

    #[test]
    fn asks_for_everything_and_again_after_a_bad_answer() {
        let mut script = Script::new(&[
            "claude",
            "gemini, openai gemini",
            "key with spaces",
            "k-gemini",
            "",
            "0",
            "8080",
            "disk",
            "valkey",
            "x",
            "cache:1",
        ]);
        let answers = complete(given(), &mut script).unwrap();
        let keys: Vec<_> = answers
            .providers
            .iter()
            .map(|(name, key)| (*name, key.as_ref().map(SecretString::expose)))
            .collect();
        assert_eq!(keys, [(ProviderName::Gemini, Some("k-gemini")), (ProviderName::Openai, None)]);
        assert_eq!(answers.port, 8080);
        assert!(matches!(&answers.storage, Storage::Valkey(at) if at.to_string() == "cache:1"));
        assert_eq!(script.told.len(), 5, "{:?}", script.told);
        // Three times a key was asked for, each time unseen.
        assert_eq!(script.hidden.len(), 3);
        assert!(script.answers.is_empty());
    }

    #[test]
    fn empty_answers_are_the_defaults() {
        let answers = complete(given(), &mut Script::new(&["", "", "", ""])).unwrap();
        assert_eq!(answers.providers, [(ProviderName::Openai, None)]);
        assert_eq!(answers.port, DEFAULT_PORT);
        assert!(matches!(answers.storage, Storage::Memory));
    }

    #[test]
    fn what_flags_say_is_not_asked() {
        let given = Given {
            providers: vec![ProviderName::Deepseek],
            keys: vec![(ProviderName::Deepseek, SecretString::new("k"))],
            port: Some(1),
            storage: Some(StorageName::None),
            valkey: None,
        };
        let answers = complete(given, &mut Script::new(&[])).unwrap();
        assert_eq!(answers.providers, [(ProviderName::Deepseek, Some(SecretString::new("k")))]);
    }
}
