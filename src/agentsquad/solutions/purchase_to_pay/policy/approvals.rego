# Who may answer a question of this process: somebody who holds one of the roles asked for, by the list
# of people or by a grant, and never the person whose name is on the order. Asking oneself is refused by the engine.
package p2p.approvals

import data.p2p.people

actions := {"approvals.give"}

ours if input.input.action in {"payments.send", "p2p.accept_pairing"}

name := trim_prefix(input.actor, "person:")

holds contains role if {
	some role in people[name].roles
	role in input.facts.roles
}

# From afar: a role that was granted to them in this namespace.
holds contains role if {
	some role in input.roles
	role in input.facts.roles
}

ordered if {
	signs := people[name].signs
	signs != ""
	lower(signs) == lower(input.input.input.buyer)
}

allow contains {"clause": "p2p.approvals.role", "reason": sprintf("%s is %s", [name, concat(", ", sort(holds))])} if {
	ours
	startswith(input.actor, "person:")
	count(holds) > 0
}

deny contains {"clause": "p2p.approvals.role_missing", "reason": sprintf("%s holds none of the roles %s", [name, concat(", ", input.facts.roles)])} if {
	ours
	count(holds) == 0
}

deny contains {"clause": "p2p.approvals.segregation.buyer", "reason": sprintf("%s placed the order and may not release its payment", [name])} if {
	ours
	ordered
}
