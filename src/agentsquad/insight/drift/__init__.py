"""The drift room: whether runs behave otherwise than they did, and which change
is to blame.

It reads populations of runs from the log, compares them with statistics that
say how often they are wrong, and on alarm drives old runs again with one thing
changed at a time. It watches nothing by itself and changes nothing.
"""
