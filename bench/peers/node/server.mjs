// A peer of Doorward's in go run ./bench -peers: oidc-provider with the adapter that it
// has by itself, which keeps the last 1000 things in memory. Whoever comes is signed in
// without being asked, and no request is logged. It listens on PEER_LISTEN and calls
// itself PEER_ISSUER.
import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import Provider from 'oidc-provider'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const api = 'https://api.example.com'
let people = 0

const provider = new Provider(process.env.PEER_ISSUER, {
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'bench' }] },
  cookies: { keys: ['bench'] },
  clients: [
    {
      client_id: 'app', client_secret: 'secret-of-the-app', redirect_uris: ['https://app.example.com/callback'],
      grant_types: ['authorization_code', 'refresh_token'], id_token_signed_response_alg: 'ES256',
    },
    {
      client_id: 'service', client_secret: 'secret-of-the-service', redirect_uris: [], response_types: [], grant_types: ['client_credentials'],
      scope: 'read', id_token_signed_response_alg: 'ES256',
    },
  ],
  scopes: ['openid', 'offline_access', 'read'],
  issueRefreshToken: async () => true,
  rotateRefreshToken: true,
  findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  // Nobody is asked about the application.
  loadExistingGrant: async (ctx) => {
    const known = ctx.oidc.session.grantIdFor(ctx.oidc.client.clientId)
    if (known) return ctx.oidc.provider.Grant.find(known)
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId })
    grant.addOIDCScope('openid')
    await grant.save()
    return grant
  },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    // Access tokens of services are JWTs. Those of people are opaque: it introspects no other, nor takes another for userinfo.
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx) => (ctx.oidc.params.grant_type === 'client_credentials' ? api : undefined),
      getResourceServerInfo: () => ({ scope: 'read', audience: api, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }),
    },
  },
})

const answers = provider.callback()
const server = createServer(async (request, response) => {
  if (!request.url.startsWith('/interaction/')) return answers(request, response)
  try {
    await provider.interactionFinished(request, response, { login: { accountId: `user-${people++}` } })
  } catch (e) {
    console.error(e)
    response.writeHead(500).end()
  }
})
const [host, port] = process.env.PEER_LISTEN.split(':')
server.listen(Number(port), host)
process.on('SIGTERM', () => process.exit(0))
