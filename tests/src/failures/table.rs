//! The table itself.

use ai_warp_simulator::Provider;

use super::{Line, Mode, Next, Place, State, Told, at, flags};

const WHOLE: &[Mode] = &[Mode::Whole];
const STREAM: &[Mode] = &[Mode::Stream];
const BOTH: &[Mode] = &[Mode::Whole, Mode::Stream];

const OPENAI: &[Provider] = &[Provider::OpenAi];
const DEEPSEEK: &[Provider] = &[Provider::DeepSeek];
const GEMINI: &[Provider] = &[Provider::Gemini];
const OPENAI_AND_DEEPSEEK: &[Provider] = &[Provider::OpenAi, Provider::DeepSeek];

const BAD_REQUEST: Told = Told::Error(400, "PROVIDER_BAD_REQUEST_ERROR");
const RATE_LIMIT: Told = Told::Error(429, "PROVIDER_RATE_LIMIT_ERROR");
const EXCEEDED_QUOTA: Told = Told::Error(429, "PROVIDER_EXCEEDED_QUOTA_ERROR");
const RESPONSE: Told = Told::Error(502, "PROVIDER_RESPONSE_ERROR");
const NO_CONTENT: Told = Told::Error(502, "PROVIDER_RESPONSE_NO_CONTENT");
const MAX_TOKENS: Told = Told::Error(502, "PROVIDER_RESPONSE_MAX_TOKENS_ERROR");
const TIMEOUT: Told = Told::Error(504, "PROVIDER_REQUEST_TIMEOUT_ERROR");
const RESPONSE_EVENT: Told = Told::Event("PROVIDER_RESPONSE_ERROR");
const RATE_LIMIT_EVENT: Told = Told::Event("PROVIDER_RATE_LIMIT_ERROR");
const STALL_EVENT: Told = Told::Event("PROVIDER_REQUEST_STREAM_TIMEOUT_ERROR");

const RATE_LIMITED: State = State::Rests("rateLimit");
const RETRIED: State = State::Rests("retry");
const TIMED_OUT: State = State::Rests("timeout");
const COMMUNICATION: State = State::Rests("providerCommunicationError");
const EXCEEDED: State = State::Rests("providerExceededError");
const CREDENTIAL: State = State::Rests("credential");

/// The table. Lines of one failure follow each other.
pub const TABLE: &[Line] = &[
    Line {
        failure: "the provider cannot be reached",
        ways: &[
            at("connection refused", Place::Refused),
            at("host name not found", Place::Nowhere),
            at("TLS handshake fails", Place::PlainText),
            flags("connection reset before any answer", "reset"),
            at("no connection within the connect timeout (5 s)", Place::Full).patient(),
            at("no TLS handshake within it", Place::SilentTls).patient(),
        ],
        modes: BOTH,
        told: RESPONSE,
        next: Next::NextModel,
        state: COMMUNICATION,
    },
    Line {
        failure: "nothing within `limits.requestTimeout`",
        ways: &[
            at("no connection", Place::Full),
            at("no TLS handshake", Place::SilentTls),
            flags("no answer", "stall"),
            flags("an answer that comes too late", "delay=1500"),
            flags("no body", "stall-headers"),
        ],
        modes: BOTH,
        told: TIMEOUT,
        next: Next::NextModel,
        state: TIMED_OUT,
    },
    Line {
        failure: "silence in the middle of the answer, for `limits.requestTimeout`",
        ways: &[flags("", "stall=1")],
        modes: WHOLE,
        told: TIMEOUT,
        next: Next::NextModel,
        state: TIMED_OUT,
    },
    Line {
        failure: "silence in the middle of the answer, for `limits.requestTimeout`",
        ways: &[
            flags("before the first content", "stall=0"),
            flags("in the middle of its event", "stall-event=0"),
        ],
        modes: STREAM,
        told: TIMEOUT,
        next: Next::NextModel,
        state: TIMED_OUT,
    },
    Line {
        failure: "silence in the middle of the answer, for `limits.requestTimeout`",
        ways: &[flags("between two events", "stall=2"), flags("in the middle of an event", "stall-event=2")],
        modes: STREAM,
        told: STALL_EVENT,
        next: Next::Nothing,
        state: TIMED_OUT,
    },
    Line {
        failure: "the connection breaks in the middle of the answer",
        ways: &[
            flags("after the headers", "cut-headers"),
            flags("in the middle of the body", "cut"),
            flags("of a body of unknown length", "cut-event"),
        ],
        modes: WHOLE,
        told: RESPONSE,
        next: Next::SameModel,
        state: COMMUNICATION,
    },
    Line {
        failure: "the connection breaks in the middle of the answer",
        ways: &[
            flags("after the headers", "cut-headers"),
            flags("between two events", "cut=0"),
            flags("in the middle of an event", "cut-event=0"),
        ],
        modes: STREAM,
        told: RESPONSE,
        next: Next::SameModel,
        state: COMMUNICATION,
    },
    Line {
        failure: "the connection breaks in the middle of the answer",
        ways: &[flags("between two events", "cut=2"), flags("in the middle of an event", "cut-event=2")],
        modes: STREAM,
        told: RESPONSE_EVENT,
        next: Next::Nothing,
        state: COMMUNICATION,
    },
    Line {
        failure: "the answer ends in order, but too early",
        ways: &[flags("", "early-end")],
        modes: WHOLE,
        told: RESPONSE,
        next: Next::NextModel,
        state: COMMUNICATION,
    },
    Line {
        failure: "the answer ends in order, but too early",
        ways: &[flags("before the first content", "early-end=0")],
        modes: STREAM,
        told: RESPONSE,
        next: Next::SameModel,
        state: COMMUNICATION,
    },
    Line {
        failure: "the answer ends in order, but too early",
        ways: &[
            flags("in the middle of the text", "early-end=2"),
            flags("without a finish reason", "no-finish~no-done"),
        ],
        modes: STREAM,
        told: RESPONSE_EVENT,
        next: Next::Nothing,
        state: COMMUNICATION,
    },
    Line {
        failure: "the prompt is refused",
        ways: &[flags("400", "status=400"), flags("413", "status=413"), flags("422", "status=422")],
        modes: BOTH,
        told: BAD_REQUEST,
        next: Next::Nothing,
        state: State::Ready,
    },
    Line {
        failure: "the key is refused",
        ways: &[flags("401", "status=401"), flags("403", "status=403")],
        modes: BOTH,
        told: RESPONSE,
        next: Next::NextModel,
        state: CREDENTIAL,
    },
    Line {
        failure: "no quota or credit is left",
        ways: &[flags("402", "status=402"), flags("429 that says so (`insufficient_quota`)", "quota")],
        modes: BOTH,
        told: EXCEEDED_QUOTA,
        next: Next::NextModel,
        state: EXCEEDED,
    },
    Line {
        failure: "the model does not exist",
        ways: &[flags("404", "status=404"), flags("400 `Model Not Exist`", "unknown-model").of(DEEPSEEK)],
        modes: BOTH,
        told: RESPONSE,
        next: Next::NextModel,
        state: COMMUNICATION,
    },
    Line {
        failure: "a rate limit",
        ways: &[
            flags("429 with `retry-after`", "status=429~retry-after=77").resting(77),
            flags("`retry-after-ms`", "status=429~retry-after=none~retry-after-ms=88000").resting(88),
            flags("`x-ratelimit-reset-requests`", "status=429~retry-after=none~reset-requests=6m0s")
                .of(OPENAI)
                .resting(360),
            flags("`x-ratelimit-reset-tokens`", "status=429~retry-after=none~reset-tokens=1m39s")
                .of(OPENAI)
                .resting(99),
            flags("`RetryInfo` in the body", "status=429~retry-after=none~retry-info=66.5s")
                .of(GEMINI)
                .resting(67),
        ],
        modes: BOTH,
        told: RATE_LIMIT,
        next: Next::NextModel,
        state: RATE_LIMITED,
    },
    Line {
        failure: "a rate limit",
        ways: &[flags("429 without any of these", "status=429~retry-after=none"), flags("498", "status=498")],
        modes: BOTH,
        told: RATE_LIMIT,
        next: Next::NextModel,
        state: RATE_LIMITED,
    },
    Line {
        failure: "a server error",
        ways: &[
            flags("408", "status=408"),
            flags("424", "status=424"),
            flags("500", "status=500"),
            flags("502", "status=502"),
            flags("502 with an HTML page", "html"),
            flags("503", "status=503"),
            flags("504", "status=504"),
            flags("529", "status=529"),
        ],
        modes: BOTH,
        told: RESPONSE,
        next: Next::SameModel,
        state: RETRIED,
    },
    Line {
        failure: "another client error",
        ways: &[flags("405", "status=405"), flags("409", "status=409"), flags("451", "status=451")],
        modes: BOTH,
        told: RESPONSE,
        next: Next::NextModel,
        state: State::Ready,
    },
    Line {
        failure: "a redirect",
        ways: &[flags("302", "status=302")],
        modes: BOTH,
        told: RESPONSE,
        next: Next::NextModel,
        state: COMMUNICATION,
    },
    Line {
        failure: "a server error under status 200, as body or event",
        ways: &[flags("500", "error-event=0"), flags("503", "error-event=0~event-status=503")],
        modes: BOTH,
        told: RESPONSE,
        next: Next::SameModel,
        state: RETRIED,
    },
    Line {
        failure: "a server error under status 200, as body or event",
        ways: &[flags("500", "error-event=2"), flags("503", "error-event=2~event-status=503")],
        modes: STREAM,
        told: RESPONSE_EVENT,
        next: Next::Nothing,
        state: RETRIED,
    },
    Line {
        failure: "a rate limit under status 200, as body or event",
        ways: &[flags("", "error-event=0~event-status=429~retry-after=none")],
        modes: BOTH,
        told: RATE_LIMIT,
        next: Next::NextModel,
        state: RATE_LIMITED,
    },
    Line {
        failure: "a rate limit under status 200, as body or event",
        ways: &[flags("", "error-event=2~event-status=429~retry-after=none")],
        modes: STREAM,
        told: RATE_LIMIT_EVENT,
        next: Next::Nothing,
        state: RATE_LIMITED,
    },
    Line {
        failure: "an answer that cannot be read",
        ways: &[
            flags("no JSON", "malformed=0"),
            flags("an HTML page with status 200", "html=200"),
            flags("a stream instead of a whole answer, or the reverse", "other-mode"),
        ],
        modes: BOTH,
        told: RESPONSE,
        next: Next::NextModel,
        state: COMMUNICATION,
    },
    Line {
        failure: "an answer that cannot be read",
        ways: &[flags("a stream under another content type", "content-type=text/plain")],
        modes: STREAM,
        told: RESPONSE,
        next: Next::NextModel,
        state: COMMUNICATION,
    },
    Line {
        failure: "an answer that cannot be read",
        ways: &[flags("an event that is no JSON", "malformed=2")],
        modes: STREAM,
        told: RESPONSE_EVENT,
        next: Next::Nothing,
        state: COMMUNICATION,
    },
    Line {
        failure: "an answer without content",
        ways: &[flags("", "empty")],
        modes: BOTH,
        told: NO_CONTENT,
        next: Next::NextModel,
        state: State::Ready,
    },
    Line {
        failure: "the token limit is used up before the first word",
        ways: &[
            flags("", "empty~finish=length").of(OPENAI_AND_DEEPSEEK),
            flags("", "empty~finish=MAX_TOKENS").of(GEMINI),
        ],
        modes: BOTH,
        told: MAX_TOKENS,
        next: Next::NextModel,
        state: State::Ready,
    },
    Line {
        failure: "an answer larger than `limits.maxResponseBytes`",
        ways: &[flags("", "bytes=200000~chunks=1")],
        modes: BOTH,
        told: RESPONSE,
        next: Next::NextModel,
        state: State::Ready,
    },
    Line {
        failure: "an answer larger than `limits.maxResponseBytes`",
        ways: &[flags("", "bytes=200000")],
        modes: STREAM,
        told: RESPONSE_EVENT,
        next: Next::Nothing,
        state: State::Ready,
    },
];
