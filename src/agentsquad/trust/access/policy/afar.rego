# What changes something, called from afar: access was asked before (roles.rego); what roles are
# held is asked here once more, so that no surface that forgot to ask opens a door. Locally the owner
# of the files acts: there is no surface, and the rules of each room say who.
#
# Asked with every call, so roles are spelled out: a test holds them against roles.rego.
package access.afar

actions := (((operating | authoring) | answering) | administering)

operating := {
	"runs.start", "runs.resume", "runs.cancel", "runs.signal", "runs.adopt", "runs.restart",
	"runs.retry", "runs.skip", "runs.patch", "runs.fail", "runs.compensate", "runs.update",
	"runs.export_test", "effects.resolve", "control.halt", "control.lift", "schedules.pause",
	"schedules.continue", "schedules.backfill", "messages.publish", "messages.deliver",
	"messages.redeliver", "budget.release", "breakers.open", "breakers.close",
	"transactions.recover", "drift.baseline", "log.checkpoint", "log.export", "attest.prove",
	"a2a.push_set", "a2a.push_remove", "a2a.push_again", "a2a.fetch",
}

authoring := {
	"resources.apply", "resources.put", "resources.delete", "deployments.deploy",
	"deployments.retire", "runs.export_test", "drift.baseline",
}

answering := {
	"approvals.approve", "approvals.reject", "approvals.ask", "approvals.delegate",
}

administering := {
	"interventions.make", "budget.set", "log.erase", "log.rotate_key",
	"namespaces.create", "namespaces.delete",
}

allowed := {
	"viewer": set(),
	"operator": operating,
	"approver": answering,
	"author": authoring,
}

afar if input.facts.surface

permitted if "admin" in input.roles

permitted if {
	some role in input.roles
	input.action in allowed[role]
}

# One that is not built in was judged before, where it is known.
permitted if {
	some role in input.roles
	not allowed[role]
}

allow contains {"clause": "access.afar.role", "reason": "a role allows it"} if {
	afar
	permitted
}

deny contains {"clause": "access.afar.no_role", "reason": "no role held here allows it"} if {
	afar
	not permitted
}
