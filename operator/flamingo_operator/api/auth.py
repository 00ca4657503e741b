"""The `auth` block: the Secrets with API keys.

Pure.
"""

from flamingo_operator.api import fields
from flamingo_operator.api.rules import Block, Rule


class KeyFile(Block):
    """KeyFile selects the Secret entry that is the key file of routers and server pods."""

    name: fields.Name
    """name is the name of the Secret, in the namespace of the FlamingoDeployment."""
    key: fields.Name = "keys.yaml"
    """key is the entry of the Secret."""


class ObserveKey(Block):
    """ObserveKey selects the Secret entry that is an API key with the permission observe."""

    name: fields.Name
    """name is the name of the Secret, in the namespace of the FlamingoDeployment."""
    key: fields.Name = "observe-key"
    """key is the entry of the Secret."""


class BatchesKey(Block):
    """BatchesKey selects the Secret entry that is an API key with the permission infer."""

    name: fields.Name
    """name is the name of the Secret, in the namespace of the FlamingoDeployment."""
    key: fields.Name = "batches-key"
    """key is the entry of the Secret."""


class Auth(Block):
    """Auth configures API keys. Without it, requests need no key."""

    RULES = (
        Rule(
            cel="self.keysSecretRef.name != self.observeKeySecretRef.name"
            " || self.keysSecretRef.key != self.observeKeySecretRef.key",
            message="auth.observeKeySecretRef must select another Secret entry than"
            " auth.keysSecretRef: a key file has only hashes, from which no key can be read",
            field_path=".observeKeySecretRef",
            holds=lambda self: (
                (self.keys_secret_ref.name, self.keys_secret_ref.key)
                != (self.observe_key_secret_ref.name, self.observe_key_secret_ref.key)
            ),
        ),
        Rule(
            cel="!has(self.batchesKeySecretRef)"
            " || self.keysSecretRef.name != self.batchesKeySecretRef.name"
            " || self.keysSecretRef.key != self.batchesKeySecretRef.key",
            message="auth.batchesKeySecretRef must select another Secret entry than"
            " auth.keysSecretRef: a key file has only hashes, from which no key can be read",
            field_path=".batchesKeySecretRef",
            holds=lambda self: (
                self.batches_key_secret_ref is None
                or (self.keys_secret_ref.name, self.keys_secret_ref.key)
                != (self.batches_key_secret_ref.name, self.batches_key_secret_ref.key)
            ),
        ),
    )

    keys_secret_ref: KeyFile
    """keysSecretRef selects the key file, which lists the keys with their permissions and limits.
    A change takes effect within two minutes, without a restart."""
    observe_key_secret_ref: ObserveKey
    """observeKeySecretRef selects the API key with which routers read the load of server pods and
    Prometheus scrapes metrics. The key file must give it the permission observe."""
    batches_key_secret_ref: BatchesKey | None = None
    """batchesKeySecretRef selects the API key with which the service of spec.batches sends requests
    to the routers. The key file must list it."""
