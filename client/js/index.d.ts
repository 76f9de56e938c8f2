/**
 * A client of the AI Warp gateway. Streams survive a broken connection: they are come back to where they broke off.
 *
 * @packageDocumentation
 */

/** Milliseconds, or a time such as `'30s'`. */
export type TimeWindow = number | string
/** The id of a session. */
export type AiSessionId = string
/** The id of an event of a stream. */
export type AiEventId = string
/** A provider, by its name in the gateway's configuration. */
export type AiProvider = 'openai' | 'deepseek' | 'gemini' | (string & {})
/** Earlier turns of a conversation, oldest first. */
export type AiChatHistory = { prompt: string, response: string }[]

/** When a model that failed is tried again. Accepted as AI Warp has it; the gateway goes by its own configuration. */
export type AiRestore = {
  rateLimit?: TimeWindow
  retry?: TimeWindow
  timeout?: TimeWindow
  providerCommunicationError?: TimeWindow
  providerExceededError?: TimeWindow
}

/** A model. Of its fields the gateway reads `provider` and `model`. */
export type AiModel = {
  provider: AiProvider
  model: string
  limits?: {
    maxTokens?: number
    rate?: { max: number, timeWindow: TimeWindow }
  }
  restore?: AiRestore
}

/** `'provider:model'`, or the two apart. */
export type QueryModel = string | AiModel

/** How an answer ended. */
export type AiResponseResult = 'COMPLETE' | 'INCOMPLETE_MAX_TOKENS' | 'INCOMPLETE_UNKNOWN'

export type LogDataPrimitive = string | number | boolean | null | undefined | Error
export interface LogDataObject {
  [key: string]: LogDataValue
}
export type LogDataValue = LogDataPrimitive | LogDataObject | LogDataValue[]
export type LogData = LogDataValue

/** Told what the client does. Prompts are among it, at `debug`. */
export interface Logger {
  debug (message: string, data?: LogData): void
  info (message: string, data?: LogData): void
  warn (message: string, data?: LogData): void
  error (message: string, data?: LogData): void
}

/** How a stream that breaks is come back to. */
export interface ReconnectOptions {
  /** Attempts in a row that bring no event. Default: 10. */
  maxAttempts?: number
  /** The wait before the first attempt, in milliseconds; each next one is twice as long, less up to a half by chance. Default: 200. */
  minDelay?: number
  /** The longest wait, in milliseconds. Default: 10 000. */
  maxDelay?: number
}

export interface ClientOptions {
  /** Where the gateway is, such as `http://localhost:3042`. */
  url: string
  /** Headers of every request, such as `Authorization`. */
  headers?: Record<string, string> | Headers | [string, string][]
  /** Longest wait for a response to begin, and between two pieces of it, in milliseconds. Default: 60 000. */
  timeout?: number
  /** Told what the client does. Default: nobody. */
  logger?: Logger
  /** Default: `/api/v1/prompt`. */
  promptPath?: string
  /** Default: `/api/v1/stream`. */
  streamPath?: string
  /** Default: `/api/v1/sessions`. */
  sessionsPath?: string
  /** The response header with the session, if the gateway is configured to have another. Default: `x-session-id`. */
  sessionHeader?: string
  /** How a stream that breaks is come back to; `false`: not at all. */
  reconnect?: boolean | ReconnectOptions
  /** Sends the requests. Default: the platform's `fetch`. */
  fetch?: typeof globalThis.fetch
}

export type ContextValue = string | number | boolean | null | undefined | ContextObject | ContextValue[]
export interface ContextObject {
  [key: string]: ContextValue
}
/** The system prompt; other JSON than a string is sent as its text. */
export type Context = string | ContextObject | ContextValue[]

export interface AskOptions {
  prompt: string
  /** Go on with this session. */
  sessionId?: AiSessionId
  /** The system prompt. */
  context?: Context
  /** 0 to 2. */
  temperature?: number
  /** Most tokens to generate. */
  maxTokens?: number
  /** The models to try, in order. Default: those of the gateway's route. */
  models?: QueryModel[]
  /** The gateway's route to take instead of the default one; not together with `models`. */
  route?: string
  /** Earlier turns; not together with `sessionId`. */
  history?: AiChatHistory
  /** Whether the answer comes as a stream. Default: true. */
  stream?: boolean
  /**
   * Whether a stream that breaks may be come back to. Default: true. `false` is for a new answer in any case: without
   * it, a prompt in a session whose last answer was left in the middle gets the rest of that one.
   */
  resume?: boolean
  /**
   * Go on with a stream that broke earlier, after this event: the `id` of a message, or `lastEventId` of an error. With
   * its `sessionId`, where it has one; of no effect with `resume: false`.
   */
  lastEventId?: AiEventId
  /** AI Warp's name for `lastEventId`, which counts where both are given. */
  resumeEventId?: AiEventId
  /** Ends the request, or leaves the stream as a loop does that is left. */
  signal?: AbortSignal
}

/** The whole answer. */
export interface AskResponse {
  text: string
  /** Absent where the gateway remembers no sessions. */
  sessionId: AiSessionId
  result: AiResponseResult
  /** `false` where the turn is not stored yet. */
  stored?: boolean
  /** Tokens read and generated; absent where the provider does not say. */
  usage?: { inputTokens: number, outputTokens: number }
}
export type AskResponseData = AskResponse

/** A piece of the answer. */
export interface ContentMessage {
  type: 'content'
  content: string
  /** The event's id, to go on after it by hand; absent where the stream cannot be come back to. */
  id?: AiEventId
  response?: undefined
  error?: undefined
}

/** The last message of a stream that is complete. */
export interface DoneMessage {
  type: 'done'
  response: AskResponse
  content?: undefined
  error?: undefined
}

/** The last message of a stream that the gateway could not complete. */
export interface ErrorMessage {
  type: 'error'
  /** An `AiWarpError`; its type lets programs make such messages of any `Error`. */
  error: Error & Partial<Pick<AiWarpError, 'code' | 'status' | 'retryAfter'>>
  content?: undefined
  response?: undefined
}

export type StreamMessage = ContentMessage | DoneMessage | ErrorMessage

/**
 * Can be read once. A loop that is left closes the connection. The model of a stream that can be come back to, as streams
 * can by default, goes on for the gateway's `streams.abandonAfter` then, and the session's next prompt gets the rest of
 * that answer, unless it has `resume: false`.
 */
export interface AsyncIterableStream<T> {
  [Symbol.asyncIterator] (): AsyncIterator<T, void, void>
}

export interface AskResponseStream {
  /** What the gateway tells ends it with a message; a connection that is lost for good makes the loop throw. */
  stream: AsyncIterableStream<StreamMessage>
  /** Of the first response. */
  headers: Headers
}

export interface AskResponseContent {
  content: AskResponseData
  headers: Headers
}

/** A turn of a session. */
export interface SessionTurn {
  prompt: string
  response: string
  /** `INCOMPLETE_INTERRUPTED`: the stream was left in the middle. */
  result: AiResponseResult | 'INCOMPLETE_INTERRUPTED'
  /** `provider:model`. */
  model: string
  /** Milliseconds since 1970. */
  at: number
}

export interface Session {
  sessionId: AiSessionId
  /** Oldest first. */
  history: SessionTurn[]
}

export interface Sessions {
  /** Reads a session. Throws `NOT_FOUND` for one that is not there, or is another's. */
  get (id: AiSessionId, options?: { signal?: AbortSignal }): Promise<Session>
  /** Deletes a session. Throws `NOT_FOUND` likewise. */
  delete (id: AiSessionId, options?: { signal?: AbortSignal }): Promise<void>
}

export interface AIClient {
  /** Asks for a whole answer. */
  ask (options: AskOptions & { stream: false }): Promise<AskResponseContent>
  /** Asks for a stream. */
  ask (options: AskOptions & { stream?: true }): Promise<AskResponseStream>
  ask (options: AskOptions): Promise<AskResponseStream | AskResponseContent>
  /** What the gateway remembers. */
  readonly sessions: Sessions
}

/**
 * - `TIMEOUT`: nothing came for as long as `timeout`.
 * - `ABORTED`: by the program's own signal.
 * - `CONNECTION_LOST`: the gateway cannot be reached, or the connection broke and could not be come back to.
 * - `INVALID_RESPONSE`: what came is not what the gateway answers.
 * - `INVALID_OPTIONS`: the client was built or asked with something it cannot use.
 * - `HTTP_ERROR`: an error that names no code, as of a proxy in between.
 */
export type ClientErrorCode =
  | 'TIMEOUT' | 'ABORTED' | 'CONNECTION_LOST' | 'INVALID_RESPONSE' | 'INVALID_OPTIONS' | 'HTTP_ERROR'

/** Codes of the gateway; what each means is in its documentation. Newer ones may have others. */
export type GatewayErrorCode =
  | 'OPTION_ERROR' | 'PROVIDER_BAD_REQUEST_ERROR' | 'UNAUTHORIZED' | 'FORBIDDEN' | 'NOT_FOUND' | 'METHOD_NOT_ALLOWED'
  | 'STREAM_EXPIRED' | 'STREAM_INTERRUPTED' | 'STREAM_DETACHED' | 'TOO_MANY_STREAMS'
  | 'REQUEST_TOO_LARGE' | 'PROVIDER_RATE_LIMIT_ERROR' | 'PROVIDER_EXCEEDED_QUOTA_ERROR' | 'PROVIDER_RESPONSE_ERROR'
  | 'PROVIDER_RESPONSE_NO_CONTENT' | 'PROVIDER_RESPONSE_MAX_TOKENS_ERROR' | 'PROVIDER_NO_MODELS_AVAILABLE_ERROR'
  | 'AUTH_UNAVAILABLE' | 'HISTORY_GET_ERROR' | 'PROVIDER_REQUEST_TIMEOUT_ERROR' | 'PROVIDER_REQUEST_STREAM_TIMEOUT_ERROR'

export type ErrorCode = ClientErrorCode | GatewayErrorCode | (string & {})

/** What `ask`, its streams and the sessions throw, and what an error message holds. */
export class AiWarpError extends Error {
  private constructor ()
  /** `AbortError` for `ABORTED`, `TimeoutError` for `TIMEOUT`, else `AiWarpError`. */
  name: string
  /** What went wrong. */
  readonly code: ErrorCode
  /** Of the response, where one is to blame; the message is `HTTP STATUS: BODY` then. */
  readonly status?: number
  /** Seconds after which the gateway would have it tried again. */
  readonly retryAfter?: number
  /** The last event that came of a stream that can be gone on with by hand. */
  readonly lastEventId?: AiEventId
  /** The session of that stream, or the one that was asked for. */
  readonly sessionId?: AiSessionId
  /** What `fetch` threw, or the reason of the signal. */
  readonly cause?: unknown
}

/** Makes a client. Nothing is sent before it is asked. */
export function buildClient (options: ClientOptions): AIClient
