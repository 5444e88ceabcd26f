// Orders: an API that takes the access tokens of a Doorward server. README.md says how to run it.
import cors from 'cors'
import express from 'express'
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer'

const { ISSUER = 'http://localhost:8080', PORT = 3000, ORIGIN } = process.env
const { AUDIENCE = ISSUER } = process.env // what tokens for this API have as aud

const app = express()
const orders = []

// Scripts of this one origin may call the API; of none without it.
app.use(cors({ origin: ORIGIN ?? false, exposedHeaders: 'WWW-Authenticate' }))

app.get('/', (req, res) => {
  res.type('text').send('GET /me\nGET /orders needs orders:read\nPOST /orders {"item": "...", "quantity": 1} needs orders:write\n')
})

// Every route below needs a good token. strict: the token says that it is an
// access token (typ at+jwt), so that nobody comes in with an ID token.
app.use(auth({ issuerBaseURL: ISSUER, issuer: ISSUER, audience: AUDIENCE, strict: true }))

app.get('/me', (req, res) => {
  const { sub, scope, roles } = req.auth.payload
  res.json({ sub, scope, roles })
})

app.get('/orders', requiredScopes('orders:read'), (req, res) => {
  res.json({ items: orders })
})

app.post('/orders', requiredScopes('orders:write'), express.json({ limit: '4kb' }), (req, res) => {
  const { item, quantity } = req.body ?? {}
  if (typeof item !== 'string' || item === '' || !Number.isInteger(quantity) || quantity < 1) {
    return res.status(400).json({ error: 'send {"item": "...", "quantity": 1}' })
  }
  orders.push({ id: orders.length + 1, item, quantity, by: req.auth.payload.sub })
  res.status(201).json(orders.at(-1))
})

// 401 and 403 come with a challenge that says what is missing (RFC 6750).
app.use((err, req, res, next) => {
  const status = err.status ?? 500
  res.status(status).set(err.headers ?? {}).json({ error: err.code ?? 'error', message: status < 500 ? err.message : 'something broke' })
})

app.listen(PORT, 'localhost', () => console.log(`orders: http://localhost:${PORT}, for tokens of ${ISSUER}`))
