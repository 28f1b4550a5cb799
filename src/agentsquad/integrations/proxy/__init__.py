"""The recording proxy: anybody's agent, recorded, budgeted, asked for by policy
and replayed offline, without a change in its code.

It speaks the APIs of OpenAI and Anthropic. Each session is a run whose steps
are the agent's requests; what answers them is chosen by resources of kind
Upstream. It never changes what an agent asks, and it is no model of its own.
"""
