"""Who may ask: the Secrets with the API keys.

Pure.
"""

from flamingo_operator.api import fields
from flamingo_operator.api.rules import Block, Rule


class KeyFile(Block):
    """The Secret entry that is the key file of routers and servers."""

    name: fields.Name
    """The Secret, in the same namespace."""
    key: fields.Name = "keys.yaml"
    """The entry in it."""


class ObserveKey(Block):
    """The Secret entry that is a key which may observe."""

    name: fields.Name
    """The Secret, in the same namespace."""
    key: fields.Name = "observe-key"
    """The entry in it."""


class Auth(Block):
    """API keys. Without them everybody who reaches a router may ask."""

    RULES = (
        Rule(
            cel="self.keysSecretRef.name != self.observeKeySecretRef.name"
            " || self.keysSecretRef.key != self.observeKeySecretRef.key",
            message="name another entry in auth.observeKeySecretRef than in auth.keysSecretRef: a"
            " key file holds digests, from which no key can be told",
            holds=lambda self: (
                (self.keys_secret_ref.name, self.keys_secret_ref.key)
                != (self.observe_key_secret_ref.name, self.observe_key_secret_ref.key)
            ),
        ),
    )

    keys_secret_ref: KeyFile
    """The key file: who may ask, for what and how much. A change is read within two minutes."""
    observe_key_secret_ref: ObserveKey
    """The key by which routers ask servers for their load; the key file lets it observe."""
