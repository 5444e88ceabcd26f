'use strict';
// Whoever signed in comes back here, with a code. It is handed to the page that sent him,
// which knows the state; the two windows may not know of one another.
const answer = Object.fromEntries(new URLSearchParams(location.search));
history.replaceState(null, '', location.pathname); // the code is good once, and stays nowhere
const channel = new BroadcastChannel('doorward-docs');
channel.addEventListener('message', ({ data }) => {
  if (answer.state && data.taken === answer.state) window.close();
});
channel.postMessage(answer);
