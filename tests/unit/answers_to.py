"""An operator at a terminal, for a unit test."""


def typing(monkeypatch, *answers: str | None) -> None:
    """Answer the questions in this order; None ends the input. Any further question fails."""
    left = list(answers)

    def answer(question: str) -> str:
        assert left, f"nobody expected: {question}"
        if (text := left.pop(0)) is None:
            raise EOFError
        return text

    monkeypatch.setattr("fabfile.engine.consent.may_ask", lambda: True)
    monkeypatch.setattr("builtins.input", answer)
