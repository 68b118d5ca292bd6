"""Who asks: tokens of an issuer, static keys, a gateway's headers, each turned into a principal."""
