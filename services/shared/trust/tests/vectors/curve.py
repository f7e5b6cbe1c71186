"""Just enough of edwards25519 (RFC 8032) to make keys and signatures that must be refused."""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
IDENTITY = (0, 1)


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, P - 2, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - product, P - 2, P) % P
    return (x, y)


def multiply(scalar, point):
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def recover_x(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT_OF_MINUS_ONE % P
    if x * x % P != square:
        return None
    return P - x if x % 2 != sign else x


def encode(point):
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(data):
    number = int.from_bytes(data, "little")
    y = number % 2**255 % P
    return (recover_x(y, number >> 255), y)


def small_order_points():
    """The eight points whose order divides 8, found by clearing the large factor of any point."""
    y = 2
    while True:
        x = recover_x(y, 0)
        if x is not None:
            torsion = multiply(L, (x, y))
            points = {encode(multiply(n, torsion)) for n in range(8)}
            if len(points) == 8:
                return sorted(points)
        y += 1


def other_encodings(data):
    """Encodings that are not canonical: y not reduced, or a sign for x = 0."""
    x, y = decode(data)
    found = set()
    for number in (y, y + P):
        for sign in (0, 1):
            if number < 2**255 and (x == 0 or sign == x % 2):
                found.add((number | sign << 255).to_bytes(32, "little"))
    return sorted(found - {data})


def large_order_not_canonical():
    """A point of large order with y < 19, written as y + p."""
    small = {decode(point)[1] for point in small_order_points()}
    for y in range(2, 19):
        if y not in small and recover_x(y, 0) is not None:
            return (y + P).to_bytes(32, "little")
    raise AssertionError("the curve has such a point")


def off_curve():
    """A y that no point of the curve has."""
    y = next(y for y in range(2, 100) if recover_x(y, 0) is None)
    return y.to_bytes(32, "little")


def order(data):
    """The order of a point of small order."""
    point = decode(data)
    return next(n for n in range(1, 9) if multiply(n, point) == IDENTITY)


def mixed_order(data, small):
    """A point with a part of large and a part of small order."""
    return encode(add(decode(data), decode(small)))


def sign_with(commitment, seed, message):
    """What the owner of a key can sign under a commitment R whose logarithm counts as zero.

    It satisfies the cofactored equation for every R of small order, and the plain one for the
    identity, so lenient verifiers accept it as a second signature of the same message.
    """
    hashed = bytearray(hashlib.sha512(seed).digest()[:32])
    hashed[0] &= 248
    hashed[31] = hashed[31] & 127 | 64
    secret = int.from_bytes(hashed, "little")
    base = (recover_x(4 * pow(5, P - 2, P) % P, 0), 4 * pow(5, P - 2, P) % P)
    public = encode(multiply(secret, base))
    challenge = int.from_bytes(hashlib.sha512(commitment + public + message).digest(), "little")
    return commitment + (challenge * secret % L).to_bytes(32, "little")
