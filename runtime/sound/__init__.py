"""The driver's voice: from a microphone or a film, as late as the picture, to viewers, recordings and a virtual cable."""
