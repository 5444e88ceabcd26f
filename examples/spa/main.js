// A single-page application: it signs people in with a code and PKCE, and calls an
// API with the access token. README.md says how to run it.
import { api, client, issuer } from './config.js'

const { UserManager } = globalThis.oidc // oidc-client-ts, a script of its own in index.html
const here = location.origin + location.pathname
const users = new UserManager({
  authority: issuer,
  client_id: client,
  redirect_uri: here,
  post_logout_redirect_uri: here,
  scope: 'openid profile orders:read orders:write',
  loadUserInfo: true, // the name is told there, and not in the ID token
  automaticSilentRenew: true, // with the refresh token, a minute before the access token ends
  revokeTokensOnSignout: true,
})

const $ = (id) => document.getElementById(id)

function show(user) {
  $('hello').textContent = user ? `Hello ${user.profile.name ?? user.profile.preferred_username}` : 'Nobody is signed in.'
  $('signin').hidden = Boolean(user)
  for (const id of ['orders', 'order', 'renew', 'signout']) $(id).hidden = !user
}

async function call(method, path, body) {
  const user = await users.getUser()
  const answer = await fetch(api + path, {
    method,
    headers: { Authorization: `Bearer ${user.access_token}`, ...(body && { 'Content-Type': 'application/json' }) },
    body: body && JSON.stringify(body),
  })
  $('answer').textContent = `${answer.status} ${await answer.text()}`
}

function on(id, does) {
  $(id).onclick = () => does().catch((e) => ($('answer').textContent = String(e)))
}
on('signin', () => users.signinRedirect())
on('orders', () => call('GET', '/orders'))
on('order', () => call('POST', '/orders', { item: 'tea', quantity: 1 }))
on('renew', async () => {
  const user = await users.signinSilent()
  $('answer').textContent = `a new token for ${user.expires_in} seconds`
})
on('signout', () => users.signoutRedirect()) // at Doorward too, and back to this page

users.events.addUserLoaded(show)
users.events.addUserUnloaded(() => show(null))
users.events.addSilentRenewError(() => users.removeUser()) // the session has ended elsewhere

const said = new URLSearchParams(location.search)
if (said.has('state') && (said.has('code') || said.has('error'))) {
  try {
    await users.signinRedirectCallback()
  } catch (e) {
    $('answer').textContent = String(e)
  }
  history.replaceState(null, '', here) // the code is spent; it does not stay in the address
}
show(await users.getUser())
