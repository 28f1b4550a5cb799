# Whoever works here may run the demonstration: it pays into a folder.
package p2p.demo

actions := {"demo.run", "demo.data"}

allow contains {"clause": "p2p.demo.anyone", "reason": "the demonstration moves nobody's money"}
