# Acknowledgements and letters may leave without a person: they move no money.
package p2p.paperwork

actions := {"p2p.acknowledge", "p2p.write_letter"}

allow contains {"clause": "p2p.paperwork.outbox", "reason": "documents for partners go to the outbox"}
