# What a role allows, and what the scopes of a credential leave of it. Deny is the default.
#
# input: roles held in the namespace, `everywhere` those held in all of them, `custom` the rules of
# roles that are resources, scopes, verb (the action), effect, namespace, kind (of what is meant).
# A rule: `verbs` globs over actions, `except` globs, `effects`, `kinds`; what is left out is open.
package access.roles

reads := {"pure", "read"}

looking := {
	"verbs": ["*"],
	"effects": ["pure", "read"],
	"except": spending,
}

# Reads that cost money or take the processors for long.
spending := [
	"models.ask", "models.test", "drift.show", "runs.fork", "consistency.check",
	"workflows.check", "policy.test",
]

# These run Python that comes along, in the process that serves everybody.
code := {"deployments.deploy", "workflows.check"}

builtin := {
	"viewer": [looking],
	"operator": [looking, {"verbs": [
		"runs.*", "schedules.*", "messages.*", "effects.*", "breakers.*", "control.*",
		"transactions.*", "budget.release", "models.ask", "models.test", "drift.*",
		"consistency.check", "blobs.put", "attest.prove", "log.checkpoint", "log.export",
		"a2a.*",
	]}],
	"approver": [looking, {"verbs": ["approvals.*"]}],
	"author": [looking, {"verbs": [
		"resources.*", "deployments.*", "workflows.*", "flows.*", "policy.*", "models.test",
		"runs.fork", "runs.export_test", "drift.baseline", "consistency.check", "blobs.put",
	]}],
	"admin": [{"verbs": ["*"]}],
}

# A role that nobody defined is one of the business, e.g. controller: policy asks for it by name
# where approvals are given.
business := [{"verbs": ["approvals.*", "runs.inbox", "runs.list", "runs.show", "blobs.get"]}]

matches(patterns, verb) if {
	some pattern in patterns
	glob.match(pattern, null, verb)
}

fits(rule, verb, effect) if {
	matches(rule.verbs, verb)
	not matches(object.get(rule, "except", []), verb)
	effect in object.get(rule, "effects", [effect])
}

kind_fits(rule) if not rule.kinds

kind_fits(rule) if input.kind in rule.kinds

rules_of(role) := builtin[role] if {
	builtin[role]
} else := input.custom[role] if {
	input.custom[role]
} else := business

holders contains role if {
	some role in input.roles
	some rule in rules_of(role)
	fits(rule, input.verb, input.effect)
	kind_fits(rule)
	reaches(role)
}

# What runs code reaches every namespace, so a role in one of them is not enough.
reaches(role) if not input.verb in code

reaches(role) if role in input.everywhere

scoped if {
	some scope in input.scopes
	in_scope(scope)
}

in_scope(scope) if scope == "write"

in_scope("read") if input.effect in reads

in_scope(scope) if glob.match(scope, null, input.verb)

# What people may with their own account, whatever roles they hold. What changes it takes a
# credential that no scope narrows, else a narrow one could make a wide one.
own := {
	"factors.list", "factors.add_app", "factors.confirm", "factors.remove", "factors.new_codes",
	"keys.create", "keys.list", "keys.revoke", "sessions.list", "sessions.revoke",
}

default oneself := false

oneself if {
	input.verb in own
	input.effect in reads
	scoped
}

oneself if {
	input.verb in own
	"*" in input.scopes
}

answer := {
	"allow": false,
	"clauses": ["access.roles.none"],
	"reason": "no role is held there",
} if {
	count(input.roles) == 0
} else := {
	"allow": false,
	"clauses": ["access.roles.scope"],
	"reason": "the scopes of this credential leave it out",
} if {
	not scoped
} else := {
	"allow": true,
	"clauses": [sprintf("access.role.%s", [role]) | some role in holders],
	"reason": sprintf("%s may", [concat(", ", [role | some role in holders])]),
} if {
	count(holders) > 0
} else := {
	"allow": false,
	"clauses": ["access.roles.installation"],
	"reason": "it runs code that reaches every namespace: only a role in all of them (*) may",
} if {
	input.verb in code
} else := {
	"allow": false,
	"clauses": ["access.roles.default_deny"],
	"reason": sprintf("no role held there allows %s", [input.verb]),
}
