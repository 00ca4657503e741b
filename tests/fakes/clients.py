"""Other projects' clients of the API: where each is installed, and how its programs are run."""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from fakes import client_environments

PROGRAM_S = 180


@dataclass(frozen=True)
class Client:
    """A client, the program that uses it, and where it is installed."""

    program: str
    environment: str
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def suffix(self) -> str:
        return Path(self.program).suffix

    def run(self, program: Path, environ: dict[str, str]) -> str:
        """Run a program in its folder; return what it prints."""
        if self.suffix == ".py":
            interpreter = client_environments.python(self.environment)
        else:
            interpreter = client_environments.node()
        done = subprocess.run(
            [str(interpreter), program.name],
            cwd=program.parent,
            env={"PATH": os.environ["PATH"]} | self.environ | environ,
            capture_output=True,
            text=True,
            timeout=PROGRAM_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


LOCAL_COSTS = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
"""Or LiteLLM looks for a list of prices on the internet for twelve seconds."""
CLIENTS = {
    "openai": Client("use_openai.py", "newest"),
    "openai-1.40": Client("use_openai.py", "openai-1.40"),
    "openai-1.0": Client("use_openai.py", "openai-1.0"),
    "openai-js": Client("use_openai.mjs", "openai"),
    "openai-js-6": Client("use_openai.mjs", "openai-6"),
    "litellm": Client("use_litellm.py", "newest", LOCAL_COSTS),
    "langchain": Client("use_langchain.py", "newest"),
    "pydantic-ai": Client("use_pydantic_ai.py", "newest"),
    "instructor": Client("use_instructor.py", "instructor"),
    "ai-sdk-openai": Client("use_ai_sdk.mjs", "openai", {"PROVIDER": "openai"}),
    "openai-agents": Client("use_openai_agents.py", "newest"),
    "ai-sdk-responses": Client("use_ai_sdk.mjs", "openai", {"PROVIDER": "openai-responses"}),
    "ai-sdk-compatible": Client("use_ai_sdk.mjs", "openai", {"PROVIDER": "openai-compatible"}),
}
MORE = {"openai-helpers": Client("use_openai_helpers.py", "newest")}
"""Programs that do more with a client than what all of them have in common."""
