"""From a definition and a request to a decision: anew, on from an earlier run, or not at all."""
