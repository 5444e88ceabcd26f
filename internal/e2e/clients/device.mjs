// openid-client: a device without a browser, on which nothing can be kept secret (RFC
// 8628). Arguments: the issuer, the client's id.
import * as oidc from 'openid-client'
import assert from 'node:assert/strict'
import { finish, visit } from './visit.mjs'

const [issuer, id] = process.argv.slice(2)
const config = await oidc.discovery(new URL(issuer), id, undefined, oidc.None(), { execute: [oidc.allowInsecureRequests] })
const asked = await oidc.initiateDeviceAuthorization(config, { scope: 'openid read' })
assert.match(asked.user_code, /^\S+$/)
await visit(asked.verification_uri_complete)
const tokens = await oidc.pollDeviceAuthorizationGrant(config, asked)
assert.equal(tokens.claims().aud, id)
assert.ok((await oidc.refreshTokenGrant(config, tokens.refresh_token)).access_token)
finish()
