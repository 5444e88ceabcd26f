// Who the servers are, and who this application is to them.
export const issuer = 'http://localhost:8080'
export const client = 'orders-spa'
export const api = 'http://localhost:3000'
