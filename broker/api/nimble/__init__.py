"""The Nimble-compatible API: sessions, their streams, and the catalog, as AWS's clients ask for them."""
