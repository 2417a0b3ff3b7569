"""The management API: every act of marketer, ad-ops, operator and privacy officer, over HTTP."""
