// How a client sends somebody to a page: it prints the address, and reads where
// that ended.
import { createInterface } from 'node:readline'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

export async function visit(url) {
  console.log('visit ' + url)
  const { value, done } = await lines.next()
  if (done) throw new Error('nobody answers')
  return new URL(value)
}

export function finish() {
  console.log('done')
  process.exit(0)
}
