// Everything the package has, used as its types say. Checked, never run.

import {
  AiWarpError, buildClient, type AIClient, type AskOptions, type AskResponse, type AskResponseContent,
  type AskResponseStream, type ClientOptions, type ErrorCode, type Session, type StreamMessage
} from 'ai-warp-client'

const options: ClientOptions = {
  url: 'http://localhost:3042',
  headers: new Headers({ authorization: 'Bearer x' }),
  timeout: 30_000,
  logger: console,
  promptPath: '/p',
  streamPath: '/s',
  sessionsPath: '/x',
  sessionHeader: 'x-session',
  reconnect: { maxAttempts: 3, minDelay: 100, maxDelay: 1_000 },
  fetch: (input, init) => fetch(input, init)
}
buildClient({ url: '', headers: { a: 'b' }, reconnect: false })
const client: AIClient = buildClient(options)

export async function streams (signal: AbortSignal): Promise<string> {
  const { stream, headers } = await client.ask({
    prompt: 'hi',
    context: { be: ['brief', 1, null] },
    temperature: 1,
    maxTokens: 100,
    models: ['openai:gpt-5-mini', { provider: 'mistral', model: 'small' }],
    history: [{ prompt: 'a', response: 'b' }],
    resume: true,
    signal
  })
  let text: string = headers.get('x-session-id') ?? ''
  let last: string | undefined
  for await (const message of stream) {
    switch (message.type) {
      case 'content':
        text += message.content
        last = message.id
        break
      case 'done': {
        const response: AskResponse = message.response
        const stored: boolean | undefined = response.stored
        text = stored === false ? '' : response.text
        break
      }
      case 'error': {
        const error: Error = message.error
        const code: ErrorCode | undefined = message.error.code
        if (code === 'STREAM_INTERRUPTED' || message.error.retryAfter === undefined) throw error
        break
      }
      default: {
        const nothing: never = message
        return nothing
      }
    }
  }
  await client.ask({ prompt: 'hi', route: 'r', sessionId: 's', lastEventId: last })
  return text
}

export async function whole (): Promise<AskResponseContent> {
  const answer = await client.ask({ prompt: 'hi', stream: false })
  const text: string = answer.content.text
  // @ts-expect-error: a direct answer has no stream
  void answer.stream
  // @ts-expect-error: a stream has no content
  void (await client.ask({ prompt: text })).content
  const asked: AskOptions = { prompt: 'hi', stream: Math.random() > 0.5 }
  const either: AskResponseStream | AskResponseContent = await client.ask(asked)
  return 'content' in either ? either : answer
}

export async function sessions (signal: AbortSignal): Promise<void> {
  const session: Session = await client.sessions.get('s', { signal })
  const at: number[] = session.history.map((turn) => turn.at)
  void at
  await client.sessions.delete(session.sessionId)
}

export function errors (error: unknown): number | undefined {
  if (error instanceof AiWarpError) {
    const code: ErrorCode = error.code
    if (code === 'STREAM_EXPIRED' || code === 'ABORTED' || code === 'OF_A_NEWER_GATEWAY') {
      const ids: (string | undefined)[] = [error.lastEventId, error.sessionId]
      void ids
    }
    // @ts-expect-error: it is the client that tells
    error.code = 'X'
    return error.retryAfter ?? error.status
  }
  // @ts-expect-error: it is the client that makes them
  void new AiWarpError()
  return undefined
}

// @ts-expect-error: there is no gateway without an address
buildClient({})
// @ts-expect-error: a prompt is needed
void client.ask({ stream: true })

export const messages: StreamMessage[] = [
  { type: 'content', content: 'a' },
  { type: 'done', response: { text: 'a', sessionId: 's', result: 'COMPLETE' } }
]
