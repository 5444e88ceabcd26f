'use strict';
const place = document.getElementById('reference');
const { issuer, client, password } = place.dataset;

const dark = matchMedia('(prefers-color-scheme: dark)');
const paint = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', paint);
paint();

// Texts of the document are Markdown of the simplest kind: paragraphs and code. They are
// shown as text; no HTML is made of them.
const plain = ({ React }) => ({
  components: {
    Markdown: ({ source, className }) => React.createElement('div', { className: `markdown ${className ?? ''}` },
      ...String(source ?? '').split(/\n\n+/).map(text => React.createElement('p', null,
        ...text.split('`').map((part, i) => i % 2 ? React.createElement('code', null, part) : part)))),
  },
});

// without takes a way to sign in out of the document.
function without(spec, scheme) {
  delete spec.components.securitySchemes[scheme];
  for (const item of Object.values(spec.paths)) {
    for (const operation of Object.values(item)) {
      operation.security = operation.security?.filter(one => !(scheme in one));
    }
  }
}

// The state of a request, by which its answer is known, is not to be guessed.
const surely = () => ({
  statePlugins: { auth: { wrapActions: { authPopup: original => (url, waiting) => {
    const place = new URL(url);
    waiting.state = crypto.randomUUID();
    place.searchParams.set('state', waiting.state);
    return original(place.href, waiting);
  } } } },
});

// Whoever signed in comes back in another window, which closes once its answer is taken.
const channel = new BroadcastChannel('doorward-docs');
channel.addEventListener('message', ({ data: answer }) => {
  const waiting = window.swaggerUIRedirectOauth2;
  if (!waiting?.state || answer.state !== waiting.state || answer.iss !== issuer) return; // another page's
  channel.postMessage({ taken: answer.state });
  const { auth, redirectUrl, callback, errCb } = waiting;
  delete waiting.state;
  if (answer.code) {
    callback({ auth: { ...auth, code: answer.code }, redirectUrl });
  } else {
    errCb({ authId: auth.name, source: 'auth', level: 'error', message: answer.error_description ?? answer.error });
  }
});

async function show() {
  const spec = await (await fetch('/openapi.json')).json();
  spec.servers = [{ url: issuer }];
  without(spec, 'cookie'); // which nobody types
  without(spec, 'api_key'); // bearer takes one too
  if (password !== 'true') without(spec, 'password');
  const ui = SwaggerUIBundle({
    spec, domNode: place, plugins: [plain, surely], validatorUrl: null, deepLinking: true, docExpansion: 'none', defaultModelsExpandDepth: 0, filter: true,
    oauth2RedirectUrl: `${issuer}/docs/oauth2-redirect.html`,
    // The password form asks for no client beside the built-in one.
    requestInterceptor: request => {
      if (new URL(request.url, issuer).pathname === '/auth/login') delete request.headers.Authorization;
      return request;
    },
  });
  ui.initOAuth({ clientId: client, usePkceWithAuthorizationCodeGrant: true });
}
show();
