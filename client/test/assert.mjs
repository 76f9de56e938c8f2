// Assertions that run in Node and in browsers alike.

export function ok (value, what) {
  if (!value) {
    throw new Error(what ?? `${show(value)} is not true`)
  }
}

export function equal (actual, expected, what = 'value') {
  if (show(actual) !== show(expected)) {
    throw new Error(`${what}: expected ${show(expected)}, but it is ${show(actual)}`)
  }
}

/** The error that `work` throws; all of `fields` must be as told. */
export async function fails (work, fields) {
  let error
  try {
    await (typeof work === 'function' ? work() : work)
  } catch (thrown) {
    error = thrown
  }
  ok(error instanceof Error, `no error, but ${show(fields)} was expected`)
  for (const [name, expected] of Object.entries(fields)) {
    const is = expected instanceof RegExp ? expected.test(error[name]) : show(error[name]) === show(expected)
    ok(is, `${name} of the error: expected ${expected}, but it is ${error[name]} (${error.stack})`)
  }
  return error
}

/** What `promise` resolves to, in so many milliseconds. */
export async function within (time, promise) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing in ${time} ms`)), time)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

function show (value) {
  return JSON.stringify(value, (_, part) => {
    if (part === undefined) {
      return '(undefined)'
    }
    const isPlain = part !== null && typeof part === 'object' && !Array.isArray(part)
    return isPlain ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part
  })
}
