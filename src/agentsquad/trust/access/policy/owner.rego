# Locally the owner of the files decides which namespaces there are.
package access.owner

actions := {"namespaces.create", "namespaces.delete"}

allow contains {"clause": "access.owner.person", "reason": "the owner of the files acts"} if {
	startswith(input.actor, "person:")
	not input.facts.surface
}
