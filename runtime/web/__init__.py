"""The live page and its server: WHEP and WHIP over aiortc, a JSON API and a data channel for control."""
