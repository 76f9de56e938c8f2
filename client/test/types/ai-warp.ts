// A program as it is written for AI Warp's client. Another name to import from is nearly all that changes.

import {
  buildClient, type AIClient, type AskOptions, type AskResponse, type ClientOptions, type Logger, type QueryModel,
  type StreamMessage
} from 'ai-warp-client'

const customLogger: Logger = {
  debug: (message: string, data?: any) => console.log('DEBUG:', message, data),
  info: (message: string, data?: any) => console.log('INFO:', message, data),
  warn: (message: string, data?: any) => console.warn('WARN:', message, data),
  error: (messageOrData: string | any, messageWhenData?: any) => console.error(messageOrData, messageWhenData)
}

const options: ClientOptions = {
  url: 'http://localhost:3042',
  headers: { Authorization: 'Bearer your-api-key' },
  timeout: 30000,
  logger: customLogger,
  promptPath: '/api/v1/prompt',
  streamPath: '/api/v1/stream'
}

const client: AIClient = buildClient(options)

const models: QueryModel[] = [
  'openai:gpt-4',
  {
    provider: 'openai',
    model: 'gpt-4',
    limits: { maxTokens: 1000, rate: { max: 10, timeWindow: '1m' } },
    restore: { rateLimit: '5m', retry: 1000, timeout: '30s', providerCommunicationError: '2m', providerExceededError: '10m' }
  }
]

export async function stream (sessionId?: string): Promise<string> {
  const response = await client.ask({
    prompt: 'Hello AI, how are you today?',
    sessionId,
    context: 'You are a helpful assistant.',
    temperature: 0.7,
    models,
    stream: true
  })
  console.log('Headers:', Object.fromEntries(response.headers.entries()))

  const messages: StreamMessage[] = []
  let fullResponse = ''
  for await (const message of response.stream) {
    messages.push(message)
    if (message.type === 'content' && message.content) {
      fullResponse += message.content
    } else if (message.type === 'done') {
      sessionId = message.response?.sessionId
    } else if (message.type === 'error') {
      throw message.error
    }
  }
  return fullResponse
}

export async function direct (): Promise<AskResponse> {
  const options: AskOptions & { stream: false } = {
    prompt: 'Please give me the first 10 prime numbers',
    models: [{ provider: 'gemini', model: 'gemini-2.5-flash' }],
    history: [{ prompt: 'Hello', response: 'Hi there!' }],
    stream: false,
    resume: false,
    resumeEventId: 'event-1'
  }
  const response = await client.ask(options)
  console.log(response.content.text, response.content.result, response.content.sessionId, response.headers)
  return response.content
}

export const mocked: StreamMessage[] = [
  { type: 'content', content: 'Hi' },
  { type: 'error', error: new Error('Stream error') }
]
