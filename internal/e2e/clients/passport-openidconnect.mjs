// passport-openidconnect: an application that knows no PKCE. Arguments: the issuer, its
// client's id and secret, its address.
import assert from 'node:assert/strict'
import express from 'express'
import session from 'express-session'
import passport from 'passport'
import OpenIDConnectStrategy from 'passport-openidconnect'
import { finish, visit } from './visit.mjs'

const [issuer, clientID, clientSecret, baseURL] = process.argv.slice(2)
const { authorization_endpoint, token_endpoint, userinfo_endpoint } = await (await fetch(issuer + '/.well-known/openid-configuration')).json()
passport.use(
  new OpenIDConnectStrategy(
    {
      issuer, clientID, clientSecret,
      authorizationURL: authorization_endpoint,
      tokenURL: token_endpoint,
      userInfoURL: userinfo_endpoint,
      callbackURL: baseURL + '/callback',
      scope: ['profile', 'email'],
      nonce: 'nonce',
      skipUserProfile: false,
    },
    (iss, profile, cb) => cb(null, { iss, ...profile }),
  ),
)
passport.serializeUser((user, cb) => cb(null, user))
passport.deserializeUser((user, cb) => cb(null, user))
const app = express()
app.use(session({ secret: 'a long secret of this application alone', resave: false, saveUninitialized: false }))
app.use(passport.authenticate('session'))
app.get('/login', passport.authenticate('openidconnect'))
app.get('/callback', passport.authenticate('openidconnect', { successRedirect: '/' }))
let here
app.get('/', (req, res) => {
  here = req.user
  res.end()
})
await new Promise((ready) => app.listen(new URL(baseURL).port, 'localhost', ready))

await visit(baseURL + '/login')
assert.equal(here.iss, issuer)
assert.equal(here.username, 'ann')
assert.equal(here.displayName, 'Ann Archer')
assert.deepEqual(here.emails, [{ value: 'ann@example.com' }])

finish()
