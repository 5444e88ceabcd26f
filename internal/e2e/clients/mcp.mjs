// The SDK of the Model Context Protocol: a server that takes tokens, and a client that
// comes with nothing but its address. Arguments: the issuer, the address, the client's
// redirect URI.
import assert from 'node:assert/strict'
import express from 'express'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'
import { getOAuthProtectedResourceMetadataUrl, mcpAuthMetadataRouter } from '@modelcontextprotocol/sdk/server/auth/router.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { finish, visit } from './visit.mjs'

const [issuer, address, redirectUrl] = process.argv.slice(2)
const resource = new URL(address)

// The server, as the SDK's documentation has it for an authorization server elsewhere.
const oauthMetadata = await (await fetch(issuer + '/.well-known/oauth-authorization-server')).json()
const keys = createRemoteJWKSet(new URL(oauthMetadata.jwks_uri))
async function verifyAccessToken(token) {
  const { payload } = await jwtVerify(token, keys, { issuer, audience: address, typ: 'at+jwt' }).catch((e) => {
    throw new InvalidTokenError(e.message)
  })
  return { token, clientId: payload.client_id, scopes: payload.scope.split(' '), expiresAt: payload.exp, resource: new URL(payload.aud), extra: { sub: payload.sub } }
}
const app = express()
app.use(mcpAuthMetadataRouter({ oauthMetadata, resourceServerUrl: resource, scopesSupported: ['read'] }))
const guarded = requireBearerAuth({
  verifier: { verifyAccessToken }, requiredScopes: ['read'], expectedResource: resource,
  resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(resource),
})
app.post(resource.pathname, guarded, express.json(), async (req, res) => {
  const server = new McpServer({ name: 'orders', version: '1' })
  server.registerTool('whoami', { description: 'Who asks' }, ({ authInfo }) => ({ content: [{ type: 'text', text: authInfo.extra.sub }] }))
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true })
  await server.connect(transport)
  await transport.handleRequest(req, res, req.body)
})
app.all(resource.pathname, (req, res) => res.status(405).end())
await new Promise((ready) => app.listen(resource.port, resource.hostname, ready))

// The client keeps what it is told, and knows nothing else.
let registered, tokens, verifier, page
const told = []
const authProvider = {
  redirectUrl,
  clientMetadata: { client_name: 'An agent', redirect_uris: [redirectUrl], token_endpoint_auth_method: 'none', grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'] },
  clientInformation: () => registered,
  saveClientInformation: (information) => (registered = information),
  tokens: () => tokens,
  saveTokens: (given) => told.push((tokens = given)),
  redirectToAuthorization: (url) => (page = url),
  saveCodeVerifier: (v) => (verifier = v),
  codeVerifier: () => verifier,
}
async function whoami() {
  const client = new Client({ name: 'agent', version: '1' })
  const transport = new StreamableHTTPClientTransport(resource, { authProvider })
  try {
    await client.connect(transport)
  } catch (e) {
    if (!(e instanceof UnauthorizedError)) throw e
    const landed = await visit(page)
    assert.equal(landed.searchParams.get('iss'), issuer)
    await transport.finishAuth(landed.searchParams.get('code'))
    return whoami()
  }
  const answer = await client.callTool({ name: 'whoami' })
  await client.close()
  return answer.content[0].text
}

const sub = await whoami()
assert.ok(sub)
assert.equal(page.searchParams.get('scope'), 'read')
assert.equal(page.searchParams.get('resource'), address)
assert.equal(registered.client_secret, undefined)
assert.equal(registered.scope, 'read')
assert.equal(told.length, 1)

// A token that is not good any more is renewed, and nobody is asked.
tokens = { ...tokens, access_token: tokens.access_token + 'x' }
assert.equal(await whoami(), sub)
assert.equal(told.length, 2)
assert.notEqual(tokens.access_token, told[0].access_token)
assert.notEqual(tokens.refresh_token, told[0].refresh_token)

finish()
