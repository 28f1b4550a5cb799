# How rules write money for people: decimal amounts, never micro-units.
package p2p.amount

# "12.30" of 12300000: at least two places, more where the amount has them.
text(micros) := padded(micros, places(micros))

# Two amounts with as many places as the finer one, so that they compare at a glance.
pair(one, other) := [padded(one, both), padded(other, both)] if {
	both := max([places(one), places(other)])
}

# "2" of 200 basis points, "1.5" of 150.
percent(basis_points) := trim_suffix(trim_right(padded(basis_points * 10000, 2), "0"), ".")

places(micros) := max([2, count(trim_right(fraction(micros), "0"))])

padded(micros, count_min) := concat("", [sign(micros), whole(micros), ".", substring(fraction(micros), 0, count_min)])

whole(micros) := format_int((abs(micros) - abs(micros) % 1000000) / 1000000, 10)

fraction(micros) := substring(format_int(1000000 + abs(micros) % 1000000, 10), 1, 6)

sign(micros) := "-" if {
	micros < 0
} else := ""
