# How `--auto` answers in the place of people: the first person by name who has one of the roles and
# did not order, ask or already agree. It agrees only to what the rules themselves call safe.
package p2p.auto

import data.p2p.people

answer := {"approve": approve, "approver": approver, "reason": reason}

eligible := sort([actor |
	some name, person in people
	some who in person.roles
	who in input.roles
	actor := concat(":", ["person", name])
	actor != input.requester
	lower(person.signs) != lower(object.get(input.input, "buyer", ""))
	not actor in object.get(input.evidence, "agreed", [])
])

default approver := ""

approver := eligible[0] if count(eligible) > 0

default approve := false

approve if {
	approver != ""
	input.action == "payments.send"
	input.evidence.risk.level != "high"
	count(input.evidence.holds) == 0
}

approve if {
	approver != ""
	input.action == "p2p.accept_pairing"
	input.evidence.agrees
}

default reason := "no rule calls this safe: left to people"

reason := "nobody with the role may answer" if approver == ""

else := "matched three ways, risk not high, within the role's limit" if {
	approve
	input.action == "payments.send"
}

else := "quantity and price agree with the order line" if approve
