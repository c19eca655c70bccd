"""The ledger of attempts, and what a job's budget was raised to."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and add the column."""
    op.create_table(
        "branchsearch_attempts",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column(
            "job_id",
            sa.String(30),
            sa.ForeignKey("branchsearch_jobs.id"),
            nullable=False,
            index=True,
        ),
        sa.Column("step", sa.String(32), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("began", sa.DateTime, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("gpus", sa.Float, nullable=False),
        sa.Column("how", sa.String(16)),
    )
    op.add_column(
        "branchsearch_jobs", sa.Column("extension", sa.JSON, nullable=False, server_default="{}")
    )


def downgrade() -> None:
    """Drop both."""
    op.drop_column("branchsearch_jobs", "extension")
    op.drop_table("branchsearch_attempts")
