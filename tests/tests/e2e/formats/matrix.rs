//! Whatever a client speaks and whoever answers: the same text, the same calls byte for byte, the right finish and usage.

use ai_warp_simulator::Provider;
use ai_warp_tests::{Call, ClientFormat, Question, Stack};
use serde_json::{Value, json};

/// Arguments whose spelling does not survive being parsed and written again.
const ARGUMENTS: [(&str, &str); 2] =
    [("weather", r#"{"x": "Zürich \u00e9 \"q\"",  "n":[1.0, 2e3], "a": {"b":null}}"#), ("time", "{}")];

async fn every_provider() -> Stack {
    Stack::builder().every_provider().storage("none").start().await
}

fn model(provider: Provider, name: &str) -> String {
    format!("{provider}:{name}")
}

/// All combinations, each under its name.
fn combinations(formats: &[ClientFormat]) -> Vec<(Provider, ClientFormat, bool)> {
    let mut all = Vec::new();
    for provider in Provider::ALL {
        for format in formats {
            all.extend([false, true].map(|stream| (provider, *format, stream)));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_gets_the_same_text_from_every_provider() {
    let stack = every_provider().await;
    for (provider, format, stream) in combinations(&ClientFormat::ALL) {
        let what = format!("{format:?} from {provider}, stream {stream}");
        let mut question = Question::new(&model(provider, "ok"), "Say it.");
        question.system = Some("be brief".to_owned());
        question.max_tokens = Some(100);
        let reply = format.ask(stack.gateway(), &question, stream).await;
        let said = format.read(&reply, stream);
        let text = format!("{provider}/ok: Say it. [system=be brief] [history=0] [temperature=-] [max=100]");
        assert_eq!((said.text.as_str(), said.finish.as_str()), (text.as_str(), "stop"), "{what}");
        if format != ClientFormat::Unified {
            let words = |text: &str| text.split_whitespace().count() as u64;
            let read = words("be brief") + words("Say it.");
            assert_eq!(said.usage, Some((read, words(&text))), "{what}");
        }
        assert_eq!((reply.model(), reply.attempts()), (model(provider, "ok").as_str(), 1), "{what}");
    }
    stack.expect_no_leaks();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_told_in_every_format() {
    let stack = every_provider().await;
    for (provider, format, stream) in combinations(&ClientFormat::ALL) {
        let mut question = Question::new(&model(provider, "ok"), "!words 5");
        question.max_tokens = Some(2);
        let said = format.read(&format.ask(stack.gateway(), &question, stream).await, stream);
        let expected = ("word1 word2", "length");
        assert_eq!((said.text.as_str(), said.finish.as_str()), expected, "{format:?} {provider} {stream}");
    }
}

/// The arguments as they must arrive: what comes as an object is compared as one, since a client parses it.
fn arguments(format: ClientFormat, stream: bool, text: &str) -> String {
    match (format, stream) {
        (ClientFormat::Messages, false) => serde_json::from_str::<Value>(text).unwrap().to_string(),
        _ => text.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_tools_go_there_and_back_byte_for_byte() {
    let stack = every_provider().await;
    let calls: Vec<String> =
        ARGUMENTS.iter().map(|(name, arguments)| format!("{name} {arguments}")).collect();
    let prompt = format!("!call {}", calls.join(" ;; "));
    for (provider, format, stream) in combinations(&ClientFormat::WITH_TOOLS) {
        let what = format!("{format:?} from {provider}, stream {stream}");
        let question = Question::new(&model(provider, "ok"), &prompt).tools(&["weather", "time"]);
        let reply = format.ask(stack.gateway(), &question, stream).await;
        let said = format.read(&reply, stream);
        let read: Vec<(&str, &str)> =
            said.calls.iter().map(|call| (call.name.as_str(), call.arguments.as_str())).collect();
        let expected: Vec<_> =
            ARGUMENTS.iter().map(|(name, text)| (*name, arguments(format, stream, text))).collect();
        let expected: Vec<(&str, &str)> =
            expected.iter().map(|(name, text)| (*name, text.as_str())).collect();
        assert_eq!((read, said.finish.as_str()), (expected, "tool_calls"), "{what}");
        if (format, stream) == (ClientFormat::Messages, false) {
            assert!(
                reply.text().contains(&format!("\"input\":{}", ARGUMENTS[0].1)),
                "{what}: {}",
                reply.text()
            );
        }
        assert!(said.calls[0].id != said.calls[1].id && !said.calls[0].id.is_empty(), "{what}");

        let results: Vec<(Call, String)> =
            said.calls.iter().cloned().zip(["sunny".to_owned(), "noon".to_owned()]).collect();
        let question = Question { results, ..question };
        let said = format.read(&format.ask(stack.gateway(), &question, stream).await, stream);
        assert_eq!(
            (said.text.as_str(), said.finish.as_str()),
            ("results: weather=sunny; time=noon", "stop"),
            "{what}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streamed_arguments_survive_any_cut() {
    let stack = every_provider().await;
    for (provider, format, _) in
        combinations(&ClientFormat::WITH_TOOLS).into_iter().filter(|(.., stream)| *stream)
    {
        for cut in ["split=1", "split-random=7"] {
            let (name, text) = ARGUMENTS[0];
            let question =
                Question::new(&model(provider, &format!("ok~{cut}")), &format!("!call {name} {text}"))
                    .tools(&[name]);
            let said = format.read(&format.ask(stack.gateway(), &question, true).await, true);
            let read: Vec<&str> = said.calls.iter().map(|call| call.arguments.as_str()).collect();
            assert_eq!(read, [text], "{format:?} from {provider}, {cut}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_of_any_kind_stands_in_for_one_of_any_other() {
    let stack = every_provider().await;
    let all = Provider::ALL;
    for (index, first) in all.into_iter().enumerate() {
        let second = all[(index + 1) % all.len()];
        for format in ClientFormat::ALL {
            for (stream, fault) in [(false, "down"), (true, "down"), (true, "ok~error-event=0")] {
                let models = vec![model(first, fault), model(second, "ok")];
                let question = Question { models, max_tokens: Some(100), ..Question::new("", "hi") };
                let reply = format.ask(stack.gateway(), &question, stream).await;
                let said = format.read(&reply, stream);
                let what = format!("{format:?}: {first} {fault}, then {second}, stream {stream}");
                assert!(said.text.starts_with(&format!("{second}/ok: hi ")), "{what}: {said:?}");
                assert_eq!((reply.model(), reply.attempts()), (model(second, "ok").as_str(), 2), "{what}");
            }
        }
    }
}

/// A PNG of one pixel.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[tokio::test(flavor = "multi_thread")]
async fn images_and_schemas_reach_everybody_who_takes_them() {
    let stack = every_provider().await;
    let schema = json!({
        "type": "object",
        "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
        "required": ["city", "degrees"],
        "additionalProperties": false,
    });
    for (provider, format, stream) in combinations(&ClientFormat::WITH_TOOLS) {
        let what = format!("{format:?} from {provider}, stream {stream}");
        let takes_images = !matches!(provider, Provider::DeepSeek | Provider::Cerebras);
        let takes_schemas = provider != Provider::DeepSeek;
        let mut question = Question::new(&model(provider, "ok"), "look");
        question.image = Some(format!("data:image/png;base64,{PIXEL}"));
        let reply = format.ask(stack.gateway(), &question, stream).await;
        if !takes_images {
            let (status, _, message) = format.error(&reply);
            assert_eq!(status, 400, "{what}");
            assert!(message.contains("image"), "{what}: {message}");
        } else {
            let said = format.read(&reply, stream);
            assert!(said.text.contains("[images=image/png:70]"), "{what}: {}", said.text);
        }

        let mut question = Question::new(&model(provider, "ok"), "tell");
        question.schema = Some(schema.clone());
        let reply = format.ask(stack.gateway(), &question, stream).await;
        if !takes_schemas {
            assert_eq!(format.error(&reply).0, 400, "{what}");
        } else {
            assert_eq!(format.read(&reply, stream).text, r#"{"city":"text","degrees":7}"#, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_typed_in_every_format() {
    let stack = every_provider().await;
    for (provider, format, stream) in combinations(&ClientFormat::ALL) {
        let mut words = Vec::new();
        for (fault, status) in [("ok~status=429", 429), ("down", 502), ("ok~status=400", 400)] {
            let question = Question::new(&model(provider, fault), "hi");
            let (told, word, _) = format.error(&format.ask(stack.gateway(), &question, stream).await);
            assert_eq!(told, status, "{format:?} from {provider}, stream {stream}: {fault}");
            words.push(word);
        }
        let expected = match format {
            ClientFormat::Unified => {
                ["PROVIDER_RATE_LIMIT_ERROR", "PROVIDER_RESPONSE_ERROR", "PROVIDER_BAD_REQUEST_ERROR"]
            }
            ClientFormat::Messages => ["rate_limit_error", "api_error", "invalid_request_error"],
            ClientFormat::Chat | ClientFormat::Responses => {
                ["rate_limit_exceeded", "provider_response_error", "provider_bad_request"]
            }
        };
        assert_eq!(words, expected, "{format:?} from {provider}, stream {stream}");
    }
}
