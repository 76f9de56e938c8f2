// The client in Node and a real gateway, see gateway.mjs. `AI_WARP_CLIENT` is the folder of the built package,
// `AI_WARP_PLACE` tells as JSON where the gateway is.

import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'
import { gateway } from './gateway.mjs'

const client = await import(pathToFileURL(join(process.env.AI_WARP_CLIENT, 'index.js')))
const place = JSON.parse(process.env.AI_WARP_PLACE)

for (const [name, check] of Object.entries(gateway(client, place))) {
  test(name, { timeout: 30_000 }, () => check())
}
