# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel ought to do with a packet: the design's rules once more, written without a look at policy/ or firewall/.

A World is one host: its identity, its peers, its policy (as the JSON that is also given to the product), its mode. Host.judge()
takes packets in the order in which they are sent and says where each may come out: a set of "local", "sortie", "eth", "docker".
It keeps its own table of connections, because direction is what separates an answer from a question.
"""
import dataclasses
import ipaddress

TCP, UDP, ICMP, ICMP6, SCTP = 6, 17, 1, 58, 132


@dataclasses.dataclass
class Packet:
    kind: str            # where it is put in: sortie, eth, docker, local, local-other-uid, local-via-eth
    src: object          # ipaddress
    dst: object
    protocol: int
    sport: int = 0       # ICMP echo: the identifier
    dport: int = 0
    flags: str = ""      # TCP: S, SA, A
    icmp: str = ""       # request, reply, unreachable, or the number of an ICMPv6 type
    quoted: object = None  # an ICMP error: the packet it complains of
    hop_limit: int = 64
    extra: str = ""      # fragments, ext: how it is put on the wire; changes no verdict
    sequence: tuple = (1000, 0)
    note: str = ""


@dataclasses.dataclass
class Flow:
    origin: tuple        # (src, dst, protocol, sport, dport) as the initiator sent it
    translated: object   # the destination after DNAT, or None
    entered: str


def labels_match(selector, member):
    """A selector as the policy writes it. != and notin only where the key is carried."""
    if selector == "any":
        return True
    if "/" in selector and "=" not in selector and " " not in selector:
        return member["name"] == selector
    depth, term, terms = 0, "", []
    for c in selector:
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            terms.append(term)
            term = ""
        else:
            term += c
    terms.append(term)
    return all(term_matches(t.strip(), member["labels"]) for t in terms)


def term_matches(term, labels):
    for word, wanted in ((" notin ", False), (" in ", True)):
        if word in term:
            key, values = term.split(word)
            values = [v.strip() for v in values.strip().strip("()").split(",")]
            return key.strip() in labels and (labels[key.strip()] in values) == wanted
    if "!=" in term:
        key, value = term.split("!=")
        return key in labels and labels[key] != value
    key, value = term.split("=")
    return labels.get(key) == value


def port_matches(text, protocol, port):
    if text == "icmp":
        return protocol in (ICMP, ICMP6)
    name, numbers = text.split("/")
    if protocol != {"tcp": TCP, "udp": UDP}[name]:
        return False
    low, _, high = numbers.partition("-")
    return int(low) <= port <= int(high or low)


class World:
    def __init__(self, policy, members, me, mode, loose, containers, hub_endpoints, listen_port):
        self.policy, self.members, self.me = policy, members, me
        self.mode, self.loose, self.containers = mode, loose, containers
        self.hub_endpoints, self.listen_port = hub_endpoints, listen_port
        self.by_address = {}
        for m in members:
            for family in ("ipv4", "ipv6"):
                if m.get(family):
                    self.by_address[ipaddress.ip_address(m[family])] = m
        self.own = {a for a, m in self.by_address.items() if m["name"] == me["name"]}

    def selects(self, text, member):
        return labels_match(self.policy.get("groups", {}).get(text, text), member)

    def grants(self, source, target, protocol, port):
        """Does any rule let source reach target there?"""
        if source["name"] == target["name"]:
            return False
        for rule in self.policy.get("rules", []):
            if not self.selects(rule["from"], source) or not self.selects(rule["to"], target):
                continue
            for allowed in rule["allow"]:
                for text in self.policy.get("services", {}).get(allowed, [allowed]):
                    if port_matches(text, protocol, port):
                        return True
        return False

    def listed(self, section, ranges, address, protocol, port):
        for entry in self.policy.get(section, []):
            if not self.selects(entry["on"], self.me):
                continue
            if not any(address.version == ipaddress.ip_network(p).version and address in ipaddress.ip_network(p)
                       for p in entry[ranges]):
                continue
            if any(port_matches(p, protocol, port) for p in entry["allow"]):
                return True
        return False

    def underlay_serves(self, source, protocol, port):
        return self.listed("underlay", "from", source, protocol, port)

    def may_ask(self, target, protocol, port):
        """Outside the overlay, where the host's egress may be locked."""
        if self.mode != "enforce" or self.policy["hosts"][0].get("egress") != "locked":
            return True
        if protocol == UDP and (target, port) in self.hub_endpoints:
            return True
        return self.listed("egress", "to", target, protocol, port)


class Host:
    """One host's addresses and its connections so far."""

    def __init__(self, world, overlays, hubs, local, containers, dnat_port, dnat_to):
        self.world = world
        self.overlays, self.hubs, self.local = overlays, hubs, local
        self.containers, self.dnat_port, self.dnat_to = containers, dnat_port, dnat_to
        self.flows = {}    # by what the initiator sent
        self.answers = {}  # the same by what the other side sends

    # ---- connection tracking, as far as a verdict depends on it ----

    @staticmethod
    def key(p):
        if p.protocol in (ICMP, ICMP6):
            return (p.src, p.dst, p.protocol, p.sport, p.sport)
        return (p.src, p.dst, p.protocol, p.sport, p.dport)

    @staticmethod
    def reverse(key):
        return (key[1], key[0], key[2], key[4], key[3])

    def state(self, p):
        """(state, flow): original, reply, new, related, invalid, untracked."""
        if p.icmp == "unreachable":
            flow = self.find(self.key(p.quoted)) or self.find(self.reverse(self.key(p.quoted)))
            return ("related", flow) if flow else ("invalid", None)
        if p.protocol == ICMP6 and p.icmp.isdigit():
            return ("untracked", None)
        flow = self.flows.get(self.key(p))
        if flow:
            if p.icmp == "reply":
                return ("invalid", None)
            return ("original", flow)
        flow = self.find_reply(self.key(p))
        if flow:
            return ("reply", flow)
        if p.icmp == "reply":
            return ("invalid", None)
        if p.protocol == TCP and p.flags != "S":
            if p.flags == "A" and self.world.loose:
                return ("new", None)
            return ("invalid", None)
        return ("new", None)

    def find_reply(self, key):
        return self.answers.get(key)

    def find(self, key):
        return self.flows.get(key)

    def remember(self, p, translated=None):
        flow = Flow(self.key(p), translated, p.kind)
        target = translated or (p.dst, flow.origin[4])
        self.flows[flow.origin] = flow
        self.answers.setdefault((target[0], p.src, p.protocol, target[1], flow.origin[3]), flow)

    # ---- the rules ----

    def in_overlay(self, address):
        return any(address.version == o.version and address in o for o in self.overlays)

    def judge(self, p):
        if p.kind.startswith("local"):
            return self.judge_output(p)
        if p.kind != "sortie" and (self.in_overlay(p.src) or self.in_overlay(p.dst)):
            return self.judge_container_out(p)
        if p.kind == "sortie":
            return self.judge_from_overlay(p)
        return self.judge_underlay(p)

    def peer(self, address):
        m = self.world.by_address.get(address)
        return m if m and m["name"] != self.world.me["name"] else None

    def judge_from_overlay(self, p):
        state, flow = self.state(p)
        if state in ("invalid", "untracked"):
            return set()
        if p.src in self.hubs:
            return self.judge_from_hub(p, state, flow)
        peer = self.peer(p.src)
        if not peer or p.dst not in self.world.own:
            return set()
        if state == "related":
            return {"local"} if flow.entered.startswith("local") and flow.origin[1] == p.src else set()
        me = self.world.me
        if state == "reply":
            port = flow.origin[4]
            if self.world.grants(me, peer, p.protocol, port):
                return {"local"} if flow.entered.startswith("local") else {"docker"}
            return set()
        if not self.world.grants(peer, me, p.protocol, p.dport) or (
                p.protocol in (ICMP, ICMP6) and p.icmp != "request"):
            return set()
        if p.protocol == TCP and p.dport == self.dnat_port:
            if not self.world.containers:
                return set()
            if state == "new":
                self.remember(p, (self.dnat_to[p.dst.version], 80))
            return {"docker"}
        if state == "new":
            self.remember(p)
        return {"local"}

    def judge_from_hub(self, p, state, flow):
        if p.dst not in self.world.own:
            return set()
        if state == "reply" and flow.entered.startswith("local"):
            return {"local"}
        if state == "related":
            return {"local"}
        if p.icmp == "request":
            if state == "new":
                self.remember(p)
            return {"local"}
        return set()

    def judge_container_out(self, p):
        """Overlay addresses on an interface that is not the overlay's: a spoof, or a container that wants out."""
        if p.kind != "docker" or not self.world.containers or self.in_overlay(p.src):
            return set()
        peer = self.peer(p.dst)
        if not peer:
            return set()
        state, flow = self.state(p)
        if state == "reply":
            if self.world.grants(peer, self.world.me, p.protocol, flow.origin[4]):
                return {"sortie"}
            return set()
        if state not in ("new", "original"):
            return set()
        if not self.world.grants(self.world.me, peer, p.protocol, p.dport):
            return set()
        return {"sortie"}

    def judge_output(self, p):
        state, flow = self.state(p)
        if p.kind == "local-via-eth":
            if self.in_overlay(p.dst):
                return set()
            return self.judge_output_underlay(p, state, flow)
        if not self.in_overlay(p.dst):
            return self.judge_output_underlay(p, state, flow)
        if state in ("invalid", "untracked"):
            return set()
        if p.dst in self.hubs:
            return self.judge_to_hub(p, state, flow)
        peer = self.peer(p.dst)
        if not peer:
            return set()
        me = self.world.me
        if state == "related":
            return {"sortie"} if flow and flow.origin[0] == p.dst else set()
        if state == "reply":
            return {"sortie"} if self.world.grants(peer, me, p.protocol, flow.origin[4]) else set()
        if p.protocol in (ICMP, ICMP6) and p.icmp != "request":
            return set()
        if not self.world.grants(me, peer, p.protocol, p.dport):
            return set()
        if state == "new":
            self.remember(p)
        return {"sortie"}

    def judge_to_hub(self, p, state, flow):
        if p.protocol in (ICMP, ICMP6):
            if state == "reply" or p.icmp == "request":
                if state == "new":
                    self.remember(p)
                return {"sortie"}
            return set()
        if p.protocol == TCP and p.dport in (4280, 4281) and p.kind == "local" and state in ("new", "original"):
            if state == "new":
                self.remember(p)
            return {"sortie"}
        return set()

    def judge_output_underlay(self, p, state, flow):
        locked = self.world.mode == "enforce"
        out = {"docker"} if p.dst in self.containers else {"eth"}
        if state == "reply" and locked and not flow.entered.startswith("local"):
            if not self.world.underlay_serves(flow.origin[0], p.protocol, flow.origin[4]):
                return set()
        if state == "invalid" and locked:
            if p.protocol == TCP:
                return out if self.world.underlay_serves(p.dst, p.protocol, p.sport) else set()
            return None  # not said by the design: not compared
        if state in ("new", "original") and not self.world.may_ask(p.dst, p.protocol, p.dport):
            return set()
        if state == "new":
            self.remember(p)
        return out

    def judge_underlay(self, p):
        """From eth or docker, no overlay address in it."""
        locked = self.world.mode == "enforce"
        state, flow = self.state(p)
        to_local = p.dst in self.local
        dnat = to_local and p.kind == "eth" and p.protocol == TCP and p.dport == self.dnat_port
        if p.kind == "eth" and to_local and p.protocol == UDP and p.dport == self.world.listen_port:
            if (p.src, p.sport) in self.world.hub_endpoints:
                if state == "new":
                    self.remember(p)
                return {"local"}
            return set()
        if to_local and p.protocol == ICMP6 and p.icmp.isdigit():
            return self.judge_neighbour(p, locked)
        if not to_local and p.kind == "docker":
            if state == "reply":
                if locked and flow.entered == "eth" and not self.world.underlay_serves(
                        flow.origin[0], p.protocol, flow.origin[4]):
                    return set()
                return {"eth"}
            if state not in ("new", "original"):
                return None
            if not self.world.may_ask(p.dst, p.protocol, p.dport):
                return set()
            if state == "new":
                self.remember(p)
            return {"eth"}
        if not locked:
            if state == "invalid":
                return None
            return self.pass_underlay(p, state, flow, to_local, dnat)
        if state == "invalid":
            served = to_local and p.protocol == TCP and self.world.underlay_serves(p.src, p.protocol, p.dport)
            return {"local"} if served else set()
        if state == "related":
            return {"local"} if to_local else None
        if state == "reply" and flow.entered.startswith("local"):
            return {"local"} if self.world.may_ask(p.src, p.protocol, flow.origin[4]) else set()
        if state == "reply":
            return {"docker"}
        if self.is_dhcp(p):
            return {"local"}
        if self.world.underlay_serves(p.src, p.protocol, p.dport) and (
                p.protocol not in (ICMP, ICMP6) or p.icmp == "request"):
            return self.pass_underlay(p, state, flow, to_local, dnat)
        return set()

    def pass_underlay(self, p, state, flow, to_local, dnat):
        if state == "related":
            return {"local"} if to_local else None
        if state == "reply":
            return {"local"} if flow.entered.startswith("local") else {"docker"}
        if state == "new":
            self.remember(p, (self.dnat_to[p.dst.version], 80) if dnat else None)
        if dnat:
            return {"docker"}
        return {"local"} if to_local else {"docker"}

    @staticmethod
    def is_dhcp(p):
        if p.protocol != UDP:
            return False
        if p.src.version == 4:
            return p.sport == 67 and p.dport == 68
        return p.sport == 547 and p.dport == 546 and p.src.is_link_local

    @staticmethod
    def judge_neighbour(p, locked):
        kind = int(p.icmp)
        if not locked:
            return None if kind not in (135, 136) else {"local"}
        if kind in (133, 134, 135, 136):
            return {"local"} if p.hop_limit == 255 else set()
        return set() if kind == 137 else None
