// express-openid-connect: an application whose pages know who is there. Arguments: the
// issuer, its client's id and secret, its address.
import assert from 'node:assert/strict'
import express from 'express'
import openid from 'express-openid-connect'
import session from 'express-session'
import { finish, visit } from './visit.mjs'

const { auth, requiresAuth } = openid
const [issuerBaseURL, clientID, clientSecret, baseURL] = process.argv.slice(2)
const app = express()
const store = new session.MemoryStore()
app.use(
  auth({
    issuerBaseURL, baseURL, clientID, clientSecret,
    secret: 'a long secret of this application alone',
    authRequired: false,
    idpLogout: true,
    backchannelLogout: { store },
    authorizationParams: { response_type: 'code', scope: 'openid profile email offline_access read' },
  }),
)
let here, idToken // who the last page was for, and what told so
app.get('/', (req, res) => {
  here = req.oidc.isAuthenticated() ? req.oidc.user : null
  idToken = req.oidc.idToken
  res.end()
})
app.get('/me', requiresAuth(), async (req, res) => {
  const { access_token, refresh } = req.oidc.accessToken
  const next = await refresh.call(req.oidc.accessToken)
  here = { ...(await req.oidc.fetchUserInfo()), renewed: next.access_token !== access_token }
  res.end()
})
await new Promise((ready) => app.listen(new URL(baseURL).port, 'localhost', ready))

await visit(baseURL + '/')
assert.equal(here, null)

// Signing in, userinfo, refreshing.
await visit(baseURL + '/login')
const { sub, sid } = here
assert.ok(sub && sid)
assert.equal(here.preferred_username, 'ann') // by the ID token alone
await visit(baseURL + '/me')
assert.equal(here.sub, sub)
assert.equal(here.preferred_username, 'ann')
assert.equal(here.renewed, true)

// Signing out of both at once: nobody is signed in at the issuer any more, so that the
// next sign-in is another session.
assert.equal((await visit(baseURL + '/logout')).href, baseURL + '/')
assert.equal(here, null)
await visit(baseURL + '/login')
assert.equal(here.sub, sub)
assert.notEqual(here.sid, sid)

// Signing out at the issuer alone, which tells the application.
const ended = issuerBaseURL + '|' + here.sid
await visit(issuerBaseURL + '/oauth2/logout?' + new URLSearchParams({ id_token_hint: idToken, post_logout_redirect_uri: baseURL }))
for (let tries = 0; !store.sessions[ended]; tries++) {
  assert.ok(tries < 100, 'the application is not told')
  await new Promise((later) => setTimeout(later, 100))
}
await visit(baseURL + '/')
assert.equal(here, null)

finish()
