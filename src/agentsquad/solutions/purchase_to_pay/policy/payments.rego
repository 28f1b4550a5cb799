# Who must agree before money leaves, and what no agreement can allow.
#
# Limits are per currency; a currency without limits cannot be paid. Above the clerk's limit a
# controller decides, above the controller's a controller and the chief financial officer, two people.
# Risk raises the rank. The person who ordered, the one who asks and the one who already agreed are
# never the one who agrees.
package p2p.payments

import data.p2p.limit
import data.p2p.people
import data.p2p.role

actions := {"payments.send"}

amount := input.input.amount.micros

currency := input.input.amount.currency

known if limit.alone_micros[currency]

agreed := object.get(input.facts, "approvals", [])

risk := object.get(input.facts, "risk", "high")

needed := [] if {
	known
	risk == "low"
	amount <= limit.alone_micros[currency]
} else := [role.clerk] if {
	known
	risk == "low"
	amount <= limit.clerk_micros[currency]
} else := [role.controller] if {
	known
	risk != "high"
	amount <= limit.controller_micros[currency]
} else := [role.controller, role.top]

deny contains {"clause": "p2p.payments.no_limit", "reason": sprintf("no limits are set for %s", [currency])} if {
	not known
}

deny contains {"clause": "p2p.payments.amount", "reason": "a payment must be above zero"} if amount <= 0

deny contains {"clause": "p2p.payments.account_not_on_file", "reason": "the account is not the one on the vendor master"} if {
	not account_on_file
}

account_on_file if {
	input.input.account == input.facts.filed_account
	input.input.account != ""
	input.input.routing == input.facts.filed_routing
}

deny contains {"clause": "p2p.payments.held", "reason": sprintf("the case is held: %s", [concat(", ", input.facts.holds)])} if {
	count(object.get(input.facts, "holds", [])) > 0
}

deny contains {"clause": "p2p.payments.segregation.buyer", "reason": sprintf("%s placed the order and may not release its payment", [answer.approver])} if {
	some answer in agreed
	signs := people[trim_prefix(answer.approver, "person:")].signs
	lower(signs) == lower(input.input.buyer)
}

deny contains {"clause": "p2p.payments.segregation.requester", "reason": sprintf("%s asked for the payment and may not release it", [answer.approver])} if {
	some answer in agreed
	answer.approver == input.facts.requester
}

deny contains {"clause": "p2p.payments.segregation.two_people", "reason": "two approvals must come from two people"} if {
	count({answer.approver | some answer in agreed}) < count(agreed)
}

deny contains {"clause": "p2p.payments.segregation.person", "reason": sprintf("%s is not a person", [answer.approver])} if {
	some answer in agreed
	not startswith(answer.approver, "person:")
}

deny contains {"clause": "p2p.payments.incomplete", "reason": sprintf("%v of %v approvals were given", [count(agreed), count(needed)])} if {
	input.facts.stage == "send"
	count(agreed) < count(needed)
}

allow contains {"clause": "p2p.payments.alone", "reason": "a low-risk match within the limit that needs nobody"} if {
	count(needed) == 0
}

allow contains {"clause": "p2p.payments.approved", "reason": sprintf("released by %s", [concat(" and ", needed)])} if {
	count(needed) > 0
}

obligations contains {
	"clause": sprintf("p2p.payments.%s", [who]),
	"approve": {"roles": [who], "count": 1, "because": because},
} if {
	some who in needed
}

because := sprintf("%s %s, risk %s", [object.get(input.facts, "amount_text", ""), currency, risk])
