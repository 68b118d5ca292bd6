"""The USD viewer: a streamed application that shows real USD stages, each read in a bounded process of its own."""
