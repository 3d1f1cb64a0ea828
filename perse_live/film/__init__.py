"""Films (video files) in and out: what `drive`, `build --extra`, film cameras and `eval` read, and what `drive` and `demo` write.

`reader.open_film` reads any film as a player shows it; `writer.film_writer` writes one that every player plays.
"""
