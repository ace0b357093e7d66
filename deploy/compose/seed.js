// What MongoDB holds after its first start: two tenants and their stores. The token endpoints do not
// exist, so an exchange shows what a dead one does: 503, then an open breaker, and nobody waits.
db.tenants.insertMany([
  {
    tenantId: "ikea",
    name: "IKEA",
    authConfig: { tokenEndpoint: "https://login.ikea.example/token", clientId: "amicis" },
  },
  {
    tenantId: "habitat",
    name: "Habitat",
    authConfig: { tokenEndpoint: "https://login.habitat.example/token", clientId: "amicis" },
  },
]);
db.stores.insertMany([
  {
    tenantId: "ikea",
    storeId: "berlin-01",
    name: "Berlin Tempelhof",
    backendUrl: "https://eu-central.backend.example/ikea",
    backendContext: { region: "eu-central", currency: "EUR" },
    location: { lat: 52.46, lon: 13.39 },
  },
  {
    tenantId: "ikea",
    storeId: "oslo-01",
    name: "Oslo Furuset",
    backendUrl: "https://eu-north.backend.example/ikea",
    backendContext: { region: "eu-north", currency: "NOK" },
    location: { lat: 59.94, lon: 10.89 },
  },
  {
    tenantId: "habitat",
    storeId: "lyon-01",
    name: "Lyon Part-Dieu",
    backendUrl: "https://eu-west.backend.example/habitat",
    backendContext: { region: "eu-west", currency: "EUR" },
  },
]);
