# Assembles one decision from all packages that govern the action asked about.
#
# A package contributes up to three partial sets of objects, each object naming its clause:
#   deny         {"clause": "p2p.limits.over_auto_limit", "reason": "..."}
#   allow        {"clause": "p2p.payments.controller", "reason": "..."}
#   obligations  {"clause": "...", "approve": {"roles": ["controller"], "count": 1}}
# `data.squad.mounted` is generated when policies are loaded: per part, entries
# {"package": "p2p.limits", "given": <element>} of the packages that govern input.action.
#
# Any denial wins. An element that is not an object with a clause denies, so that a slip of the pen
# cannot open a door. Without an allowance, only pure and read actions pass.
package squad

import data.squad.mounted

# What generated dispatch compares prefixes with; the space ends an exact name.
subject := concat("", [input.action, " "])

named(given) if {
	is_object(given)
	is_string(given.clause)
	given.clause != ""
}

malformed contains entry["package"] if {
	some part in [mounted.deny, mounted.allow, mounted.obligations]
	some entry in part
	not named(entry.given)
}

denials contains entry.given if {
	some entry in mounted.deny
	named(entry.given)
}

denials contains {
	"clause": "policy.malformed",
	"reason": sprintf("package %v gave an element without a clause", [name]),
} if {
	some name in malformed
}

grants contains entry.given if some entry in mounted.allow

duties contains entry.given if some entry in mounted.obligations

harmless if input.effect in {"pure", "read"}

reason(entry) := entry.reason if is_string(entry.reason)

else := entry.clause

said(entries) := concat("; ", [reason(entry) | some entry in entries])

clauses(entries) := {entry.clause | some entry in entries}

decision := {
	"allow": false,
	"clauses": clauses(denials),
	"reason": said(denials),
	"obligations": [],
} if {
	count(denials) > 0
} else := {
	"allow": true,
	"clauses": clauses(grants) | clauses(duties),
	"reason": said(grants),
	"obligations": duties,
} if {
	count(grants) > 0
} else := {
	"allow": true,
	"clauses": {"policy.default_allow"} | clauses(duties),
	"reason": "reading needs no allowance",
	"obligations": duties,
} if {
	harmless
} else := {
	"allow": false,
	"clauses": {"policy.default_deny"},
	"reason": sprintf("no rule allows %v", [input.action]),
	"obligations": set(),
}
